"""Cohere's error statuses as our failures: https://docs.cohere.com/reference/errors."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic_core import from_json

from contracts.outcome import FailureType

from ..advice import page_text, retry_after_s
from ..protocol import Body, Failure
from ..reading import text_or_none

BY_STATUS: dict[int, FailureType] = {
    401: "auth",
    402: "quota_exhausted",
    403: "auth",
    408: "timeout",
    413: "context_too_long",
    429: "rate_limited",
    498: "auth",
    499: "unavailable",
    501: "invalid_request",
    504: "timeout",
}
TOO_LONG = re.compile(r"too many tokens(?!: max tokens)|TOO_MANY_TOKENS", re.IGNORECASE)
"""`max_tokens` above the model's maximum is said with the same words, but no other provider helps."""
USED_UP = re.compile(r"calls? ?/ ?month|per month|monthly|billing|payment", re.IGNORECASE)
BUSY = re.compile(r"overloaded|capacity|too busy", re.IGNORECASE)


def failure_of(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Failure:
    """An answer with an error status. `headers` looks names up without regard to case."""
    error = _error_in(body)
    kind = _type(status, error)
    return Failure(
        type=kind,
        message=_message(error) or f"HTTP {status} without a message",
        provider_code=text_or_none(error.get("error_type")) or str(status),
        retry_after_s=retry_after_s(headers, now),
        usage_known_zero=kind != "timeout",
    )


def failure_in_body(error: Any) -> Failure:
    """An error where an answer was promised: in a 200 or at the end of a stream. It may have been billed."""
    fields = error if isinstance(error, dict) else {"message": str(error)}
    return Failure(_type(None, fields), _message(fields) or "the provider sent an error without a message", text_or_none(fields.get("error_type")))


def _error_in(body: bytes) -> Body:
    try:
        decoded = from_json(body)
    except ValueError:
        return {"message": page_text(body)}
    return decoded if isinstance(decoded, dict) else {"message": str(decoded)}


def _message(error: Body) -> str:
    return next((text.strip() for name in ("message", "data", "error") if (text := text_or_none(error.get(name)))), "")


def _type(status: int | None, error: Body) -> FailureType:
    message = _message(error)
    if status in (None, 400, 413, 422) and TOO_LONG.search(f"{error.get('error_type', '')} {message}"):
        return "context_too_long"
    if status == 429 and USED_UP.search(message):
        return "quota_exhausted"
    if status is None or status >= 500:
        if BUSY.search(message):
            return "overloaded"
        return BY_STATUS.get(status or 0, "unavailable")
    return BY_STATUS.get(status, "invalid_request")
