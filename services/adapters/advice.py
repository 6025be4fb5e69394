"""What providers say beside a refusal, whatever their protocol: when to come back, and words in pages that are no JSON. Pure."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from contracts.outcome import FailureType

BY_STATUS: dict[int, FailureType] = {
    401: "auth",
    402: "quota_exhausted",
    403: "auth",
    408: "timeout",
    409: "unavailable",
    413: "context_too_long",
    425: "unavailable",
    429: "rate_limited",
    504: "timeout",
    524: "timeout",
    529: "overloaded",
}
"""What a status means where the provider gives it no meaning of its own; of others, 4xx is the request's fault and 5xx the provider's."""


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds until another try makes sense: `retry-after-ms`, or `retry-after` in seconds or as an HTTP date (RFC 9110, 10.2.3)."""
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    if value is None or (seconds := _number(value)) is not None:
        return None if value is None else seconds
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds())


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


def page_text(body: bytes) -> str:
    """The words of an HTML page or a plain text, as proxies send them."""
    text = body[:4000].decode("utf-8", "replace")
    return " ".join(re.sub(r"<(style|script).*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE).split())[:200]
