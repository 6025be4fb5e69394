"""Exceptions of Bedrock as our failures: https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html. Pure."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic_core import from_json

from contracts.outcome import FailureType

from ..advice import page_text, retry_after_s
from ..protocol import Failure
from ..reading import text_or_none

BY_NAME: dict[str, FailureType] = {
    "accessdeniedexception": "auth",
    "expiredtokenexception": "auth",
    "expiredtoken": "auth",
    "incompletesignatureexception": "auth",
    "invalidclienttokenid": "auth",
    "invalidsignatureexception": "auth",
    "missingauthenticationtokenexception": "auth",
    "notauthorizedexception": "auth",
    "signaturedoesnotmatch": "auth",
    "unrecognizedclientexception": "auth",
    "throttlingexception": "rate_limited",
    "throttling": "rate_limited",
    "toomanyrequestsexception": "rate_limited",
    "servicequotaexceededexception": "quota_exhausted",
    "modelnotreadyexception": "overloaded",
    "serviceunavailableexception": "overloaded",
    "serviceunavailable": "overloaded",
    "internalserverexception": "unavailable",
    "internalfailure": "unavailable",
    "modelerrorexception": "unavailable",
    "modelstreamerrorexception": "unavailable",
    "modeltimeoutexception": "timeout",
    "resourcenotfoundexception": "invalid_request",
    "unknownoperationexception": "invalid_request",
    "validationexception": "invalid_request",
}
"""By the exception's name in lower case: streams write it with a small first letter."""
BY_STATUS: dict[int, FailureType] = {
    401: "auth",
    402: "quota_exhausted",
    403: "auth",
    408: "timeout",
    413: "context_too_long",
    424: "unavailable",
    429: "rate_limited",
    503: "overloaded",
    504: "timeout",
}
CANONICAL = "The Canonical String"
"""From here on a refused signature's message repeats the signed headers, session token included."""
MAYBE_BILLED = frozenset({408, 424, 504})
"""The model may have begun to answer."""
BY_MESSAGE: tuple[tuple[re.Pattern[str], FailureType], ...] = (
    (
        re.compile(
            r"input (?:is )?too long|input tokens exceeded|(?:maximum|exceeds?) .{0,40}(?:context|input token|number of tokens)|prompt is too long|"
            r"too many input tokens|maximum (?:context|input) length|exceeds? (?:the )?(?:context|model'?s)|context (?:length|window)",
            re.IGNORECASE,
        ),
        "context_too_long",
    ),
    (re.compile(r"content filter|blocked by", re.IGNORECASE), "content_filtered"),
)
"""What a ValidationException says when it means something else."""


def failure_of(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Failure:
    """An answer with an error status; the exception's name stands in x-amzn-errortype or in the body."""
    error = _error_in(body)
    name = _plain(headers.get("x-amzn-errortype") or text_or_none(error.get("__type")) or text_or_none(error.get("code")) or "")
    message = (text_or_none(error.get("message")) or text_or_none(error.get("Message")) or "").partition(CANONICAL)[0].strip()
    return Failure(
        type=_type(status, name, message),
        message=message or f"HTTP {status} without a message",
        provider_code=name or str(status),
        retry_after_s=retry_after_s(headers, now),
        usage_known_zero=status not in MAYBE_BILLED,
    )


def failure_in_stream(name: str, data: Any) -> Failure:
    """An exception in the middle of a stream. It may have been billed."""
    said = data if isinstance(data, dict) else {}
    name = text_or_none(said.get("code")) or name
    message = text_or_none(said.get("message")) or text_or_none(said.get("originalMessage")) or "the provider sent an exception without a message"
    status = said.get("originalStatusCode")
    return Failure(_type(status if isinstance(status, int) else None, name, message), message, name)


def _plain(name: str) -> str:
    """`namespace#Name:http://…` is Name."""
    return name.partition(":")[0].rpartition("#")[2].rpartition(".")[2].strip()


def _error_in(body: bytes) -> dict[str, Any]:
    try:
        decoded = from_json(body)
    except ValueError:
        return {"message": page_text(body)}
    return decoded if isinstance(decoded, dict) else {"message": str(decoded)}


def _type(status: int | None, name: str, message: str) -> FailureType:
    named = BY_NAME.get(name.lower())
    if named is None and status is not None:
        named = BY_STATUS.get(status, "invalid_request" if 400 <= status < 500 else "unavailable")
    if named == "invalid_request":
        named = next((meaning for pattern, meaning in BY_MESSAGE if pattern.search(message)), named)
    return named or "unavailable"
