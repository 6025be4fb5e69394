"""Errors of the Messages API as our failures: https://platform.claude.com/docs/en/api/errors. Pure."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic_core import from_json

from contracts.outcome import FailureType

from ..advice import BY_STATUS, page_text, retry_after_s
from ..protocol import Failure
from ..reading import text_or_none

BY_TYPE: dict[str, FailureType] = {
    "invalid_request_error": "invalid_request",
    "authentication_error": "auth",
    "permission_error": "auth",
    "billing_error": "quota_exhausted",
    "not_found_error": "invalid_request",
    "request_too_large": "context_too_long",
    "rate_limit_error": "rate_limited",
    "timeout_error": "timeout",
    "api_error": "unavailable",
    "overloaded_error": "overloaded",
}
MAYBE_BILLED = frozenset({504, 524})
"""A gateway gave up on a provider that may have answered, and may bill it."""
BY_MESSAGE: tuple[tuple[re.Pattern[str], FailureType], ...] = (
    (
        re.compile(r"prompt is too long|exceeds? (?:the )?context (?:limit|window)|input is too long|too many total text bytes", re.IGNORECASE),
        "context_too_long",
    ),
    (re.compile(r"credit balance is too low|usage limits?\b.*\bregain access|reached your specified", re.IGNORECASE), "quota_exhausted"),
    (re.compile(r"blocked by content filtering|content filtering policy", re.IGNORECASE), "content_filtered"),
)
"""What is said as an invalid request, a permission or a rate limit, and means something else."""


def failure_of(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Failure:
    """An answer with an error status. `headers` looks names up without regard to case."""
    error = _error_in(body)
    kind, advice = _type(status, error), retry_after_s(headers, now)
    should_retry = headers.get("x-should-retry")
    if kind == "invalid_request" and should_retry == "true":
        kind = "unavailable"
    elif kind == "rate_limited" and should_retry == "false" and advice is None:
        kind = "quota_exhausted"
    return Failure(
        type=kind,
        message=text_or_none(error.get("message")) or f"HTTP {status} without a message",
        provider_code=text_or_none(error.get("type")) or str(status),
        retry_after_s=advice,
        usage_known_zero=status not in MAYBE_BILLED,
    )


def failure_in_body(body: dict[str, Any]) -> Failure:
    """An error where an answer was promised: in the body of a 200 or in the middle of a stream. It may have been billed."""
    error = _error_of(body)
    return Failure(_type(None, error), text_or_none(error.get("message")) or "the provider sent an error without a message", text_or_none(error.get("type")))


def _error_in(body: bytes) -> dict[str, Any]:
    try:
        decoded = from_json(body)
    except ValueError:
        return {"message": page_text(body)}
    if isinstance(decoded, list) and decoded:
        decoded = decoded[0]  # Google's gateways list the one error of a stream
    return _error_of(decoded) if isinstance(decoded, dict) else {"message": str(decoded)}


def _error_of(decoded: dict[str, Any]) -> dict[str, Any]:
    """The error object: `error{}`, as Vertex AI's own refusals have it too; the body itself where there is none."""
    error = decoded.get("error")
    if isinstance(error, str):
        return {"message": error}
    return error if isinstance(error, dict) else decoded


def _type(status: int | None, error: dict[str, Any]) -> FailureType:
    """The type, made more telling by the message; the status where the type is none that we know."""
    named = BY_TYPE.get(text_or_none(error.get("type")) or "")
    if status is not None and named in (None, "invalid_request", "unavailable"):
        named = BY_STATUS.get(status, "invalid_request" if 400 <= status < 500 else "unavailable")
    if named in ("invalid_request", "auth", "rate_limited", None):
        message = text_or_none(error.get("message")) or ""
        named = next((meaning for pattern, meaning in BY_MESSAGE if pattern.search(message)), named)
    return named or "unavailable"
