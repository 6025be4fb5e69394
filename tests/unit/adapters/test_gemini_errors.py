"""google.rpc.Status as failures: recorded ones, and the shapes that Google documents."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from services.adapters.gemini.errors import failure_in_body, failure_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TYPE = "type.googleapis.com/google.rpc."


def info(reason: str) -> dict[str, Any]:
    return {"@type": TYPE + "ErrorInfo", "reason": reason, "domain": "googleapis.com"}


def quota(*ids: str) -> dict[str, Any]:
    return {"@type": TYPE + "QuotaFailure", "violations": [{"quotaMetric": "m", "quotaId": one, "quotaValue": "250"} for one in ids]}


def retry(delay: str) -> dict[str, Any]:
    return {"@type": TYPE + "RetryInfo", "retryDelay": delay}


def error(code: int, status: str, message: str = "x", *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


PLAN = "You exceeded your current quota, please check your plan and billing details. Quota exceeded for metric: m, limit: {}"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (error(400, "INVALID_ARGUMENT", "Invalid value at 'contents'"), "invalid_request"),
        (error(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", info("API_KEY_INVALID")), "auth"),
        (error(400, "INVALID_ARGUMENT", "API key expired. Please renew the API key."), "auth"),
        (error(400, "INVALID_ARGUMENT", "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."), "context_too_long"),
        (error(400, "FAILED_PRECONDITION", "User location is not supported for the API use."), "auth"),
        (error(400, "FAILED_PRECONDITION", "The free tier is not available in your country. Please enable billing on your project."), "quota_exhausted"),
        (error(400, "FAILED_PRECONDITION", "Precondition check failed."), "invalid_request"),
        (error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials."), "auth"),
        (error(403, "PERMISSION_DENIED", "Permission 'aiplatform.endpoints.predict' denied"), "auth"),
        (error(403, "PERMISSION_DENIED", "This API method requires billing to be enabled.", info("BILLING_DISABLED")), "quota_exhausted"),
        (error(404, "NOT_FOUND", "models/gemini-9 is not found for API version v1beta"), "invalid_request"),
        (error(409, "ABORTED"), "unavailable"),
        (error(413, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 20971520 bytes."), "context_too_long"),
        (error(429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later."), "rate_limited"),
        (error(429, "RESOURCE_EXHAUSTED", PLAN.format(250), quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier")), "rate_limited"),
        (error(429, "RESOURCE_EXHAUSTED", PLAN.format(50), quota("XPerMinute", "GenerateRequestsPerDayPerProjectPerModel-FreeTier")), "quota_exhausted"),
        (error(429, "RESOURCE_EXHAUSTED", PLAN.format(0), quota("XPerMinute")), "quota_exhausted"),
        (error(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."), "quota_exhausted"),
        (error(499, "CANCELLED"), "unavailable"),
        (error(500, "INTERNAL", "An internal error has occurred."), "unavailable"),
        (error(503, "UNAVAILABLE", "The model is overloaded. Please try again later."), "overloaded"),
        (error(503, "UNAVAILABLE", "This model is currently experiencing high demand."), "overloaded"),
        (error(503, "UNAVAILABLE", "The service is currently unavailable."), "unavailable"),
        (error(504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."), "timeout"),
    ],
)
def test_reason_message_and_status_tell_the_kind_of_failure(body: dict[str, Any], kind: str) -> None:
    status = body["error"]["code"]
    for sent in (body, [body]):
        outcome = failure_of(status, {}, json.dumps(sent).encode(), NOW)
        assert outcome.type == kind and outcome.message == body["error"]["message"]
        assert outcome.usage_known_zero == (kind != "timeout")
    midway = failure_in_body(body["error"])
    assert midway.type == kind and not midway.usage_known_zero


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b"", "auth"),
        (403, b"<html><title>Error 403</title><p>Forbidden</html>", "auth"),
        (404, b"Not Found", "invalid_request"),
        (429, b"{}", "rate_limited"),
        (502, b"<html>Bad Gateway</html>", "unavailable"),
        (503, b'{"error": "busy"}', "unavailable"),
        (504, b"[]", "timeout"),
    ],
)
def test_a_body_that_is_no_status_is_judged_by_its_code(status: int, body: bytes, kind: str) -> None:
    outcome = failure_of(status, {}, body, NOW)
    assert outcome.type == kind and outcome.message and outcome.provider_code == str(status)


def test_the_delay_of_retry_info_is_advice_and_a_header_comes_first() -> None:
    body = json.dumps(error(429, "RESOURCE_EXHAUSTED", "x", quota("PerMinute"), retry("34.074824224s"))).encode()
    assert failure_of(429, {}, body, NOW).retry_after_s == 34.074824224
    assert failure_of(429, {"retry-after": "7"}, body, NOW).retry_after_s == 7
    assert failure_in_body(json.loads(body)["error"]).retry_after_s == 34.074824224
    assert failure_of(429, {}, json.dumps(error(429, "RESOURCE_EXHAUSTED", "x", retry("soon"))).encode(), NOW).retry_after_s is None


def test_the_reason_is_the_providers_code_and_else_the_status() -> None:
    assert failure_of(400, {}, json.dumps(error(400, "INVALID_ARGUMENT", "x", info("API_KEY_INVALID"))).encode(), NOW).provider_code == "API_KEY_INVALID"
    assert failure_of(400, {}, json.dumps(error(400, "INVALID_ARGUMENT")).encode(), NOW).provider_code == "INVALID_ARGUMENT"
