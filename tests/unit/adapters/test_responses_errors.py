"""Error bodies of each provider of the Responses API, as it documents or sends them, and what each means."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from catalog.kinds import kind_of, kinds
from services.adapters.openai_responses.wire import Responses

NOW = datetime(2026, 1, 1, tzinfo=UTC)
INVALID = "invalid_request_error"
DOCUMENTED: list[tuple[str, int, Any, str, str | None]] = [
    ("openai_responses", 401, {"error": {"message": "Incorrect API key provided", "type": INVALID, "code": "invalid_api_key"}}, "auth", "invalid_api_key"),
    ("openai_responses", 429, {"error": {"message": "m", "type": "insufficient_quota", "code": "insufficient_quota"}}, "quota_exhausted", "insufficient_quota"),
    ("openai_responses", 429, {"error": {"message": "slow", "type": "tokens", "code": "rate_limit_exceeded"}}, "rate_limited", "rate_limit_exceeded"),
    ("openai_responses", 400, {"error": {"message": "m", "type": INVALID, "code": "context_length_exceeded"}}, "context_too_long", "context_length_exceeded"),
    ("openai_responses", 400, {"error": {"message": "below minimum", "param": "temperature", "code": "decimal_below_min_value"}}, "invalid_request", None),
    (
        "openai_responses",
        400,
        {"error": {"message": "'rs_1' of type 'reasoning' was provided without", "type": INVALID, "code": None}},
        "invalid_request",
        None,
    ),
    ("openai_responses", 400, {"error": {"message": "could not be verified", "code": "invalid_encrypted_content"}}, "invalid_request", None),
    ("openai_responses", 404, {"error": {"message": "Previous response not found", "code": "previous_response_not_found"}}, "invalid_request", None),
    ("openai_responses", 400, b"", "invalid_request", "400"),
    ("openai_responses", 500, {"error": {"message": "m", "type": "server_error", "code": None}}, "unavailable", "server_error"),
    ("openai_responses", 504, "<html><head><title>Gateway time-out</title></head></html>", "timeout", None),
    ("azure_responses", 401, {"error": {"code": "401", "message": "Access denied due to invalid subscription key"}}, "auth", "401"),
    ("azure_responses", 404, {"error": {"code": "DeploymentNotFound", "message": "does not exist"}}, "invalid_request", "DeploymentNotFound"),
    ("azure_responses", 429, {"error": {"code": "too_many_requests", "message": "Too Many Requests"}}, "rate_limited", "too_many_requests"),
    ("azure_responses", 400, {"error": {"message": "filtered", "code": "content_filter", "status": 400}}, "content_filtered", "content_filter"),
    ("xai_responses", 400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***"}, "auth", None),
    ("xai_responses", 404, {"code": "Some requested entity was not found", "error": "The model x does not exist"}, "invalid_request", None),
    ("deepseek_responses", 400, {"error": {"message": "No tool output found for tool call a.", "type": INVALID, "code": INVALID}}, "invalid_request", INVALID),
    ("deepseek_responses", 402, {"error": {"message": "Insufficient Balance", "type": "unknown_error", "code": INVALID}}, "quota_exhausted", None),
    ("openrouter_responses", 402, {"error": {"code": 402, "message": "This request requires more credits"}}, "quota_exhausted", "402"),
    ("openrouter_responses", 429, {"error": {"code": "rate_limit_exceeded", "message": "Rate limit exceeded"}}, "rate_limited", "rate_limit_exceeded"),
    ("compatible_responses", 404, {"error": {"message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404}}, "invalid_request", None),
    ("compatible_responses", 503, {"error": {"message": "busy", "type": "overloaded_error"}}, "overloaded", "overloaded_error"),
]


@pytest.mark.parametrize(("type_name", "status", "body", "kind", "code"), DOCUMENTED)
def test_what_a_provider_refuses_with_is_understood(type_name: str, status: int, body: Any, kind: str, code: str | None) -> None:
    raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    failure = Responses(kind_of(type_name), "mine").failure(status, {"retry-after": "6"}, raw, NOW)
    assert (failure.type, failure.retry_after_s, failure.usage_known_zero) == (kind, 6.0, status != 504)
    assert code is None or failure.provider_code == code
    assert failure.message


def test_every_provider_of_the_protocol_has_a_documented_error() -> None:
    assert {name for name, kind in kinds().items() if kind.protocol == "openai_responses"} == {row[0] for row in DOCUMENTED}
