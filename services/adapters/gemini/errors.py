"""google.rpc.Status as our failures: https://ai.google.dev/gemini-api/docs/troubleshooting and https://cloud.google.com/apis/design/errors."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic_core import from_json

from contracts.outcome import FailureType

from ..advice import page_text, retry_after_s
from ..protocol import Body, Failure
from ..reading import objects_in, text_or_none

BY_STATUS: dict[str, FailureType] = {
    "INVALID_ARGUMENT": "invalid_request",
    "FAILED_PRECONDITION": "invalid_request",
    "OUT_OF_RANGE": "invalid_request",
    "NOT_FOUND": "invalid_request",
    "UNIMPLEMENTED": "invalid_request",
    "UNAUTHENTICATED": "auth",
    "PERMISSION_DENIED": "auth",
    "RESOURCE_EXHAUSTED": "rate_limited",
    "ABORTED": "unavailable",
    "CANCELLED": "unavailable",
    "INTERNAL": "unavailable",
    "UNKNOWN": "unavailable",
    "UNAVAILABLE": "unavailable",
    "DEADLINE_EXCEEDED": "timeout",
}
BY_CODE: dict[int, FailureType] = {401: "auth", 403: "auth", 408: "timeout", 413: "context_too_long", 429: "rate_limited", 504: "timeout"}
BY_REASON: dict[str, FailureType] = {
    "API_KEY_INVALID": "auth",
    "API_KEY_EXPIRED": "auth",
    "API_KEY_SERVICE_BLOCKED": "auth",
    "ACCESS_TOKEN_EXPIRED": "auth",
    "SERVICE_DISABLED": "auth",
    "BILLING_DISABLED": "quota_exhausted",
}
TOO_LONG = re.compile(
    r"input token count.*exceeds|exceeds the maximum number of (?:input )?tokens|context (?:length|window)|request payload size exceeds",
    re.IGNORECASE | re.DOTALL,
)
NO_ACCESS = re.compile(r"api key (?:not valid|expired|not found)|user location is not supported", re.IGNORECASE)
NO_MONEY = re.compile(r"billing|prepay|credits? (?:are|is) depleted|spending cap|limit: 0\b", re.IGNORECASE)
BUSY = re.compile(r"overloaded|high demand|capacity", re.IGNORECASE)
DAILY = re.compile(r"per_?(?:day|month)", re.IGNORECASE)
MAYBE_BILLED = frozenset({"timeout"})


def failure_of(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Failure:
    """An answer with an error status. `headers` looks names up without regard to case."""
    error = _error_in(body)
    kind = _type(status, error)
    return Failure(
        type=kind,
        message=text_or_none(error.get("message")) or f"HTTP {status} without a message",
        provider_code=_reason(error) or text_or_none(error.get("status")) or str(status),
        retry_after_s=_retry_delay_s(error) if (told := retry_after_s(headers, now)) is None else told,
        usage_known_zero=kind not in MAYBE_BILLED,
    )


def failure_in_body(error: Any) -> Failure:
    """An error object where an answer was promised: in the body of a 200 or in the middle of a stream. It may have been billed."""
    fields = error if isinstance(error, dict) else {"message": str(error)}
    code = fields.get("code")
    return Failure(
        _type(code if isinstance(code, int) else None, fields),
        text_or_none(fields.get("message")) or "the provider sent an error without a message",
        _reason(fields) or text_or_none(fields.get("status")),
        retry_after_s=_retry_delay_s(fields),
    )


def _error_in(body: bytes) -> Body:
    """The error object; Vertex AI wraps it in a list where a stream was asked for."""
    try:
        decoded = from_json(body)
    except ValueError:
        return {"message": page_text(body)}
    if isinstance(decoded, list) and decoded:
        decoded = decoded[0]
    error = decoded.get("error", decoded) if isinstance(decoded, dict) else decoded
    return error if isinstance(error, dict) else {"message": str(error)}


def _details(error: Body, name: str) -> list[Body]:
    """The details of one google.rpc type."""
    return [one for one in objects_in(error.get("details")) if str(one.get("@type", "")).endswith(f"google.rpc.{name}")]


def _reason(error: Body) -> str | None:
    return next((reason for info in _details(error, "ErrorInfo") if (reason := text_or_none(info.get("reason")))), None)


def _retry_delay_s(error: Body) -> float | None:
    """RetryInfo's delay: a google.protobuf.Duration, "34.074824224s"."""
    for info in _details(error, "RetryInfo"):
        if found := re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)s", str(info.get("retryDelay", ""))):
            return float(found[1])
    return None


def _type(code: int | None, error: Body) -> FailureType:
    """The most specific word wins: the reason, then what the message tells, then the status."""
    status, message = error.get("status"), text_or_none(error.get("message")) or ""
    if (told := BY_REASON.get(_reason(error) or "")) is not None:
        return told
    if NO_ACCESS.search(message):
        return "auth"
    if status == "RESOURCE_EXHAUSTED" or code == 429:
        return "quota_exhausted" if _used_up(error, message) else "rate_limited"
    if status == "FAILED_PRECONDITION" and NO_MONEY.search(message):
        return "quota_exhausted"
    if code in (None, 400, 413, 500) and TOO_LONG.search(message):
        return "context_too_long"
    if (status == "UNAVAILABLE" or code == 503) and BUSY.search(message):
        return "overloaded"
    if isinstance(status, str) and status in BY_STATUS:
        return BY_STATUS[status]
    return BY_CODE.get(code or 0, "invalid_request" if code is not None and 400 <= code < 500 else "unavailable")


def _used_up(error: Body, message: str) -> bool:
    """A quota of a day or none at all will not be there again soon; one of a minute will."""
    violations = [one for failure in _details(error, "QuotaFailure") for one in objects_in(failure.get("violations"))]
    return any(DAILY.search(str(one.get("quotaId", ""))) for one in violations) or (
        NO_MONEY.search(message.replace("check your plan and billing details", "")) is not None
    )
