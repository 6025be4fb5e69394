"""Errors of the Messages API, one row each: https://platform.claude.com/docs/en/api/errors."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from multidict import CIMultiDict

from services.adapters.anthropic.errors import failure_of

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def failed(status: int, kind: str | None = None, message: str = "no", **headers: str) -> Any:
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"} if kind else {}
    return failure_of(status, CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()}), json.dumps(body).encode(), NOW)


@pytest.mark.parametrize(
    ("status", "kind", "message", "expected"),
    [
        (400, "invalid_request_error", "max_tokens: Field required", "invalid_request"),
        (400, "invalid_request_error", "prompt is too long: 3333404 tokens > 200000 maximum", "context_too_long"),
        (400, "invalid_request_error", "input length and `max_tokens` exceed context limit: 199000 + 8192 > 200000", "context_too_long"),
        (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.", "quota_exhausted"),
        (400, "invalid_request_error", "You have reached your specified API usage limits. You will regain access on 2026-12-01.", "quota_exhausted"),
        (400, "invalid_request_error", "Output blocked by content filtering policy", "content_filtered"),
        (401, "authentication_error", "invalid x-api-key", "auth"),
        (402, "billing_error", "no", "quota_exhausted"),
        (403, "permission_error", "no", "auth"),
        (404, "not_found_error", "model: claude-9", "invalid_request"),
        (408, None, "", "timeout"),
        (409, None, "", "unavailable"),
        (413, "request_too_large", "Request exceeds the maximum size", "context_too_long"),
        (422, None, "", "invalid_request"),
        (429, "rate_limit_error", "This request would exceed your organization's rate limit", "rate_limited"),
        (500, "api_error", "Internal server error", "unavailable"),
        (502, None, "", "unavailable"),
        (503, "api_error", "no", "unavailable"),
        (504, "timeout_error", "no", "timeout"),
        (529, "overloaded_error", "Overloaded", "overloaded"),
        (529, None, "", "overloaded"),
    ],
)
def test_each_error_has_its_class(status: int, kind: str | None, message: str, expected: str) -> None:
    failure = failed(status, kind, message)
    assert (failure.type, failure.provider_code, failure.usage_known_zero) == (expected, kind or str(status), status != 504)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7),
        ({"retry_after_ms": "250"}, 0.25),
        ({"retry_after": "Sat, 21 Nov 2026 12:00:30 GMT"}, 30),
        ({}, None),
        ({"retry_after": "soon"}, None),
    ],
)
def test_the_advice_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert failed(429, "rate_limit_error", **headers).retry_after_s == seconds


def test_what_the_provider_says_of_another_try_decides_where_the_status_does_not() -> None:
    assert failed(400, "invalid_request_error", x_should_retry="true").type == "unavailable"
    assert failed(429, "rate_limit_error", x_should_retry="false").type == "quota_exhausted"
    assert failed(429, "rate_limit_error", x_should_retry="false", retry_after="9").type == "rate_limited"
    assert failed(529, "overloaded_error", x_should_retry="true").type == "overloaded"


def test_a_page_of_a_proxy_and_an_error_of_google_are_read() -> None:
    page = failure_of(502, CIMultiDict(), b"<html><head><style>p{}</style></head><body><h1>Bad  gateway</h1></body></html>", NOW)
    google = failure_of(403, CIMultiDict(), b'{"error": {"code": 403, "message": "denied", "status": "PERMISSION_DENIED"}}', NOW)
    listed = failure_of(429, CIMultiDict(), b'[{"error": {"code": 429, "message": "Quota exceeded"}}]', NOW)
    assert (page.type, page.message) == ("unavailable", "Bad gateway") and (google.type, google.message) == ("auth", "denied")
    assert (listed.type, listed.message) == ("rate_limited", "Quota exceeded")
