"""Error statuses and error objects as our failures: https://platform.openai.com/docs/guides/error-codes and what compatible servers send."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic_core import from_json, to_json

from contracts.outcome import FailureType

from ..advice import BY_STATUS, page_text, retry_after_s
from ..protocol import Failure

MAX_MESSAGE = 500
BY_CODE: dict[str, FailureType] = {
    "insufficient_quota": "quota_exhausted",
    "quota_exceeded": "quota_exhausted",
    "billing_hard_limit_reached": "quota_exhausted",
    "billing_not_active": "quota_exhausted",
    "insufficient_balance": "quota_exhausted",
    "insufficient_credits": "quota_exhausted",
    "insufficient_funds": "quota_exhausted",
    "budget_exceeded": "quota_exhausted",
    "context_length_exceeded": "context_too_long",
    "exceed_context_size_error": "context_too_long",
    "model_context_window_exceeded": "context_too_long",
    "string_above_max_length": "context_too_long",
    "content_filter": "content_filtered",
    "content_policy_violation": "content_filtered",
    "responsibleaipolicyviolation": "content_filtered",
    "moderation_blocked": "content_filtered",
    "invalid_api_key": "auth",
    "authentication_error": "auth",
    "permission_denied": "auth",
    "permission_error": "auth",
    "rate_limit_exceeded": "rate_limited",
    "rate_limit_error": "rate_limited",
    "overloaded_error": "overloaded",
    "server_overloaded": "overloaded",
    "engine_overloaded": "overloaded",
    "unavailable_error": "unavailable",
    "server_error": "unavailable",
    "internal_server_error": "unavailable",
    "timeout": "timeout",
    "request_timeout": "timeout",
    "model_not_found": "invalid_request",
    "invalid_request_error": "invalid_request",
}
STATUSES: dict[int, FailureType] = {**BY_STATUS, 446: "content_filtered", 498: "overloaded"}
MAYBE_BILLED = frozenset({504, 524})
"""A gateway gave up on a provider that may have answered, and may bill it."""
GENERIC = frozenset({"invalid_request_error", "server_error", "internal_server_error", "timeout", "rate_limit_exceeded", "rate_limit_error"})
"""Codes that say less than the status does."""
TOO_LONG = re.compile(
    r"maximum context length|context length exceeded|max(?:imum)? context|context (?:size|window) (?:exceeded|limit)|"
    r"exceeds? the (?:available )?(?:model'?s )?context|prompt (?:is )?too long|too many (?:input )?tokens",
    re.IGNORECASE,
)


BAD_KEY = re.compile(r"(?:incorrect|invalid) api[ _-]?key|api key (?:is )?not valid", re.IGNORECASE)
"""xAI refuses a wrong key with 400."""


def failure_of(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Failure:
    """An answer with an error status. `headers` looks names up without regard to case."""
    error = _error_in(body)
    kind = _type(status, error)
    if kind == "invalid_request" and headers.get("x-should-retry") == "true":
        kind = "unavailable"
    return Failure(
        type=kind,
        message=_message(error) or f"HTTP {status} without a message",
        provider_code=_code(error) or str(status),
        retry_after_s=retry_after_s(headers, now),
        usage_known_zero=status not in MAYBE_BILLED,
    )


def failure_in_body(error: Any) -> Failure:
    """An error object where an answer was promised: in the body of a 200 or in the middle of a stream. It may have been billed."""
    fields = error if isinstance(error, dict) else {"message": str(error)}
    status = next((value for name in ("status_code", "status", "code") if 400 <= (value := _status(fields.get(name))) < 600), None)
    return Failure(_type(status, fields), _message(fields) or "the provider sent an error without a message", _code(fields))


def _status(value: Any) -> int:
    return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3) else 0


def _error_in(body: bytes) -> dict[str, Any]:
    """The error object, wherever servers put it: OpenAI `error{}`, Ollama `error` as text, FastAPI `detail`, old vLLM at the top."""
    try:
        decoded = from_json(body)
    except ValueError:
        return {"message": page_text(body)}
    for _ in range(3):
        inner = decoded.get("error", decoded.get("detail")) if isinstance(decoded, dict) else decoded
        if isinstance(decoded, dict) and not inner:
            return decoded
        decoded = inner[0] if isinstance(inner, list) and inner else inner
    return decoded if isinstance(decoded, dict) else {"message": str(decoded)}


def _moderated(error: dict[str, Any]) -> bool:
    """OpenRouter's 403 for an input that was flagged: https://openrouter.ai/docs/api/reference/errors-and-debugging"""
    metadata = error.get("metadata")
    return "moderation" in _message(error).lower() or (isinstance(metadata, dict) and "flagged_input" in metadata)


def _message(error: dict[str, Any]) -> str:
    for name in ("message", "msg"):
        text = error.get(name)
        if isinstance(text, str) and text.strip():
            return text.strip()
        if isinstance(text, dict) and text:
            return to_json(text).decode()
    return ""


def _code(error: dict[str, Any]) -> str | None:
    """The word that the provider has for it; a bare number only where there is no word."""
    named = [str(value) for name in ("code", "type") if isinstance(value := error.get(name), str | int) and str(value)]
    return next((name for name in named if not name.isdigit()), named[0] if named else None)


def _codes(error: dict[str, Any]) -> list[str]:
    inner = error.get("innererror")
    named = [error.get("code"), error.get("type"), inner.get("code") if isinstance(inner, dict) else None]
    return [name.lower() for name in named if isinstance(name, str)]


def _type(status: int | None, error: dict[str, Any]) -> FailureType:
    """The most specific word wins: a telling code, then a message about length, then the status, then a generic code."""
    codes = _codes(error)
    telling = next((BY_CODE[code] for code in codes if code in BY_CODE and code not in GENERIC), None)
    if telling is not None and (status not in (401, 402) or telling in ("auth", "quota_exhausted")):
        return telling
    if status in (None, 400, 413, 422, 500) and TOO_LONG.search(_message(error)):
        return "context_too_long"
    if status == 400 and BAD_KEY.search(_message(error)):
        return "auth"
    if status is not None:
        if status == 403 and _moderated(error):
            return "content_filtered"
        return STATUSES.get(status, "invalid_request" if 400 <= status < 500 else "unavailable")
    return next((BY_CODE[code] for code in codes if code in BY_CODE), "unavailable")
