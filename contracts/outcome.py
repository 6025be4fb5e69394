"""How a call can end, what it used and what it cost: the vocabulary of attempts, slips and results."""

from typing import Literal

from .base import Open, Usd

FailureType = Literal[
    "rate_limited",
    "quota_exhausted",
    "overloaded",
    "timeout",
    "unavailable",
    "auth",
    "invalid_request",
    "context_too_long",
    "content_filtered",
    "truncated_stream",
    "outcome_unknown",
    "expired",
    "cancelled",
]
FinishReason = Literal["stop", "length", "tool_call", "content_filter", "error"]
CostBasis = Literal["provider", "usage", "estimate", "unknown"]


class UsageV1(Open):
    """Tokens; null is unknown, never zero. `input_tokens` is the total, cached ones included."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    reasoning_tokens: int | None = None


NO_USAGE = UsageV1(input_tokens=0, output_tokens=0, cache_read_tokens=0, cache_write_tokens=0, cache_write_1h_tokens=0, reasoning_tokens=0)
"""Known to be nothing: the provider never began to answer."""


class AttemptErrorV1(Open):
    type: str
    message: str
    provider_code: str | None = None


class AttemptSummaryV1(Open):
    """One line of a result's `attempts`; `outcome` is `answered` or the failure's type."""

    n: int
    provider: str
    model: str
    outcome: str
    finish_reason: FinishReason | None = None
    error: AttemptErrorV1 | None = None
    usage: UsageV1 = UsageV1()
    cost_usd: Usd | None = None
    duration_s: float | None = None


class WarningV1(Open):
    type: str
    message: str
