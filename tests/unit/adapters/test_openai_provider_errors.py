"""Error bodies of each provider of the chat-completions family, as it documents or sends them, and what each means."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from catalog.kinds import kind_of, kinds
from services.adapters.openai.wire import OpenAI

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DOCUMENTED: list[tuple[str, int, Any, str, str | None]] = [
    (
        "openai",
        401,
        {"error": {"message": "Incorrect API key provided", "type": "invalid_request_error", "code": "invalid_api_key"}},
        "auth",
        "invalid_api_key",
    ),
    ("openai", 429, {"error": {"message": "quota", "type": "insufficient_quota", "code": "insufficient_quota"}}, "quota_exhausted", "insufficient_quota"),
    ("openai", 429, {"error": {"message": "slow", "type": "requests", "code": "rate_limit_exceeded"}}, "rate_limited", "rate_limit_exceeded"),
    ("openai", 503, {"error": {"message": "overloaded", "type": "server_error", "code": None}}, "unavailable", "server_error"),
    ("azure", 404, {"error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}}, "invalid_request", None),
    ("azure", 401, {"error": {"code": "401", "message": "Access denied due to invalid subscription key"}}, "auth", "401"),
    ("azure", 429, {"error": {"code": "429", "message": "Requests have exceeded call rate limit. Please retry after 6 seconds."}}, "rate_limited", "429"),
    ("azure_v1", 400, {"error": {"message": "filtered", "code": "content_filter", "status": 400}}, "content_filtered", "content_filter"),
    ("azure_ai", 429, {"error": {"code": "RateLimitReached", "message": "Rate limit of 10 per 60s exceeded"}}, "rate_limited", "RateLimitReached"),
    ("mistral", 401, {"detail": "Unauthorized"}, "auth", None),
    ("mistral", 422, {"object": "error", "message": {"detail": [{"loc": ["body", "model"], "msg": "Field required"}]}}, "invalid_request", None),
    ("mistral", 429, {"object": "error", "message": "Rate limit exceeded", "type": "rate_limited", "code": "1300"}, "rate_limited", "rate_limited"),
    ("groq", 413, {"error": {"message": "Request too large for model", "type": "tokens", "code": "rate_limit_exceeded"}}, "context_too_long", None),
    ("groq", 498, {"error": {"message": "flex tier capacity exceeded", "type": "capacity"}}, "overloaded", None),
    ("groq", 400, {"error": {"message": "Failed to call a function", "type": "invalid_request_error", "code": "tool_use_failed"}}, "invalid_request", None),
    ("together", 429, {"error": {"message": "rate limited", "type": "rate_limit", "param": None, "code": None}}, "rate_limited", "rate_limit"),
    ("fireworks", 404, {"error": {"object": "error", "message": "Model not found", "code": "NOT_FOUND"}}, "invalid_request", "NOT_FOUND"),
    ("xai", 400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***"}, "auth", None),
    ("xai", 403, {"code": "The caller does not have permission", "error": "Your team has no credits"}, "auth", None),
    ("deepseek", 402, {"error": {"message": "Insufficient Balance", "type": "unknown_error", "code": "invalid_request_error"}}, "quota_exhausted", None),
    ("deepseek", 400, {"error": {"message": "This model's maximum context length is 65536 tokens."}}, "context_too_long", None),
    ("openrouter", 402, {"error": {"code": 402, "message": "This request requires more credits"}}, "quota_exhausted", "402"),
    ("openrouter", 403, {"error": {"code": 403, "message": "flagged", "metadata": {"reasons": ["x"], "flagged_input": "y"}}}, "content_filtered", "403"),
    ("openrouter", 429, {"error": {"code": 429, "message": "Provider returned error", "metadata": {"provider_name": "X"}}}, "rate_limited", "429"),
    ("openrouter", 502, {"error": {"code": 502, "message": "Provider returned error"}}, "unavailable", "502"),
    ("perplexity", 401, "<html><head><title>401 Authorization Required</title></head></html>", "auth", None),
    (
        "cerebras",
        429,
        {"message": "Requests per minute limit exceeded", "type": "too_many_requests_error", "code": "request_quota_exceeded"},
        "rate_limited",
        None,
    ),
    ("zai", 429, {"error": {"code": "1113", "message": "Insufficient balance or no resource package."}}, "quota_exhausted", "1113"),
    ("zai", 429, {"error": {"code": "1302", "message": "Rate limit reached"}}, "rate_limited", "1302"),
    ("zai", 400, {"error": {"code": "1261", "message": "Prompt exceeds max length"}}, "context_too_long", "1261"),
    ("huggingface", 402, {"error": "You have exceeded your monthly included credits for Inference Providers."}, "quota_exhausted", None),
    ("huggingface", 503, {"error": "Model too busy"}, "unavailable", None),
    ("vercel", 402, {"error": {"message": "Insufficient funds", "type": "insufficient_funds"}}, "quota_exhausted", "insufficient_funds"),
    ("ollama", 404, {"error": {"message": 'model "x" not found, try pulling it first', "type": "api_error"}}, "invalid_request", "api_error"),
    ("vllm", 404, {"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404}, "invalid_request", "NotFoundError"),
    (
        "vllm",
        400,
        {"error": {"message": "This model's maximum context length is 4096 tokens.", "type": "BadRequestError", "code": 400}},
        "context_too_long",
        None,
    ),
    ("lmstudio", 400, {"error": "Trying to keep the first 9 tokens when context the overflows"}, "invalid_request", None),
    ("litellm", 429, {"error": {"message": "No deployments available", "type": "None", "code": "429"}}, "rate_limited", None),
    ("litellm", 400, {"error": {"message": "Budget has been exceeded!", "type": "budget_exceeded", "code": "400"}}, "quota_exhausted", "budget_exceeded"),
    ("portkey", 446, {"error": {"message": "guardrail checks failed", "type": "hooks_failed"}}, "content_filtered", "hooks_failed"),
    ("voyage", 400, {"detail": "Request to model failed."}, "invalid_request", None),
    ("compatible", 500, "upstream connect error", "unavailable", "500"),
    ("local", 400, {"error": {"code": 400, "message": "too long", "type": "exceed_context_size_error"}}, "context_too_long", "exceed_context_size_error"),
]


@pytest.mark.parametrize(("type_name", "status", "body", "kind", "code"), DOCUMENTED)
def test_what_a_provider_refuses_with_is_understood(type_name: str, status: int, body: Any, kind: str, code: str | None) -> None:
    raw = (body if isinstance(body, str) else json.dumps(body)).encode()
    failure = OpenAI(kind_of(type_name), "mine").failure(status, {"retry-after": "6"}, raw, NOW)
    assert (failure.type, failure.retry_after_s, failure.usage_known_zero) == (kind, 6.0, True)
    assert code is None or failure.provider_code == code
    assert failure.message and "without a message" not in failure.message


def test_every_provider_of_the_family_has_a_documented_error() -> None:
    assert {name for name, kind in kinds().items() if kind.protocol == "openai"} == {row[0] for row in DOCUMENTED}
