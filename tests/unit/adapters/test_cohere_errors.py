"""Cohere's error statuses as failures: recorded ones, and those that its documentation lists."""

import json
from datetime import UTC, datetime

import pytest

from services.adapters.cohere.errors import failure_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "invalid request: list of documents must not be empty", "invalid_request"),
        (400, "too many tokens: size limit exceeded by 25836 tokens. Try using shorter or fewer inputs.", "context_too_long"),
        (400, "too many tokens: max tokens must be less than or equal to 4096, the maximum output for this model - received 8192.", "invalid_request"),
        (401, "invalid api token", "auth"),
        (402, "Please add or update your payment method at https://dashboard.cohere.com/billing", "quota_exhausted"),
        (403, "forbidden", "auth"),
        (404, "model 'nonexistent' not found", "invalid_request"),
        (422, "invalid request", "invalid_request"),
        (429, "You are past the per minute request limit, please wait and try again later.", "rate_limited"),
        (429, "You are using a Trial key, which is limited to 40 API calls / minute.", "rate_limited"),
        (429, "You are using a Trial key, which is limited to 1000 API calls / month.", "quota_exhausted"),
        (429, "trial token rate limit exceeded, limit is 100000 tokens per minute", "rate_limited"),
        (498, "invalid token", "auth"),
        (499, "request cancelled", "unavailable"),
        (500, "internal server error", "unavailable"),
        (501, "not implemented", "invalid_request"),
        (503, "service unavailable", "unavailable"),
        (503, "the model is overloaded", "overloaded"),
        (504, "gateway timeout", "timeout"),
    ],
)
def test_status_and_message_tell_the_kind_of_failure(status: int, message: str, kind: str) -> None:
    outcome = failure_of(status, {"retry-after": "3"}, json.dumps({"id": "1", "message": message}).encode(), NOW)
    assert (outcome.type, outcome.message, outcome.retry_after_s) == (kind, message, 3)
    assert outcome.usage_known_zero == (kind != "timeout")


def test_the_error_type_is_told_and_a_page_is_read_as_words() -> None:
    told = failure_of(400, {}, b'{"error_type": "TOO_MANY_TOKENS", "message": "x"}', NOW)
    assert (told.type, told.provider_code) == ("context_too_long", "TOO_MANY_TOKENS")
    page = failure_of(502, {}, b"<html><h1>Bad Gateway</h1></html>", NOW)
    assert (page.type, page.message, page.provider_code) == ("unavailable", "Bad Gateway", "502")
