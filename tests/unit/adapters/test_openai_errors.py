"""Statuses and error bodies as failures, and what each failure means for the next step."""

import json
from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from contracts.failures import FAILURES
from contracts.outcome import FailureType
from services.adapters.openai.errors import failure_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def failure(status: int, error: Any = None, **headers: str) -> Any:
    body = b"" if error is None else json.dumps({"error": error}).encode()
    return failure_of(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, NOW)


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"message": "bad", "type": "invalid_request_error"}, "invalid_request"),
        (400, {"message": "too long", "code": "context_length_exceeded"}, "context_too_long"),
        (400, {"message": "prompt too long; exceeded max context length by 1119046 tokens", "type": "invalid_request_error"}, "context_too_long"),
        (
            400,
            {"message": "This model's maximum context length is 1048565 tokens. However, you requested 1250025", "code": "invalid_request_error"},
            "context_too_long",
        ),
        (400, {"message": "x", "type": "exceed_context_size_error", "code": 400}, "context_too_long"),
        (400, {"message": "no", "code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}}, "content_filtered"),
        (401, None, "auth"),
        (401, {"message": "Incorrect API key", "code": "invalid_api_key"}, "auth"),
        (402, {"message": "pay"}, "quota_exhausted"),
        (403, {"message": "not allowed"}, "auth"),
        (404, {"message": "The model `x` does not exist", "code": "model_not_found"}, "invalid_request"),
        (404, None, "invalid_request"),
        (408, None, "timeout"),
        (413, None, "context_too_long"),
        (422, None, "invalid_request"),
        (429, {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}, "rate_limited"),
        (429, {"message": "You exceeded your current quota", "type": "insufficient_quota", "code": "insufficient_quota"}, "quota_exhausted"),
        (429, None, "rate_limited"),
        (500, {"message": "x", "type": "server_error"}, "unavailable"),
        (502, None, "unavailable"),
        (503, None, "unavailable"),
        (503, {"message": "x", "type": "overloaded_error"}, "overloaded"),
        (504, None, "timeout"),
        (529, None, "overloaded"),
    ],
)
def test_status_and_code_tell_the_kind_of_failure(status: int, error: Any, kind: str) -> None:
    outcome = failure(status, error)
    assert outcome.type == kind
    assert outcome.usage_known_zero == (status != 504)
    assert outcome.message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": {"message": "m", "type": "t"}}', "m"),
        (b'{"error": "m"}', "m"),
        (b'{"object": "error", "message": "m", "code": 400}', "m"),
        (b'{"detail": "m"}', "m"),
        (b'{"detail": [{"loc": ["body"], "msg": "m", "type": "missing"}]}', "m"),
        (b"<html><head><style>p{}</style></head><body><h1>502</h1> Bad Gateway</body></html>", "502 Bad Gateway"),
        (b"", "HTTP 400 without a message"),
        (b"[]", "[]"),
        (b"null", "None"),
    ],
)
def test_the_message_is_found_wherever_servers_put_it(body: bytes, message: str) -> None:
    assert failure_of(400, {}, body, NOW).message == message


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "0.5"}, 0.5),
        ({"retry_after": "-3"}, 0.0),
        ({"retry_after": "Thu, 01 Jan 2026 00:00:30 GMT"}, 30.0),
        ({"retry_after": "Wed, 31 Dec 2025 00:00:00 GMT"}, 0.0),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "inf"}, None),
        ({"retry_after_ms": "250", "retry_after": "1"}, 0.25),
        ({}, None),
    ],
)
def test_retry_after_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert failure(429, None, **headers).retry_after_s == seconds


def test_a_provider_that_asks_to_be_tried_again_is_believed() -> None:
    assert failure(400, {"message": "hiccup"}, x_should_retry="true").type == "unavailable"
    assert failure(401, None, x_should_retry="true").type == "auth"


def test_every_failure_has_its_traits() -> None:
    assert set(FAILURES) == set(get_args(FailureType))
    assert {name for name, traits in FAILURES.items() if traits.retryable} == {
        *("rate_limited", "overloaded", "unavailable", "timeout", "truncated_stream", "outcome_unknown"),
    }
    assert all(traits.max_calls == 1 for traits in FAILURES.values() if not traits.retryable)
    assert not FAILURES["invalid_request"].failover and FAILURES["auth"].failover and FAILURES["context_too_long"].failover
