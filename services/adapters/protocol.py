"""What every wire protocol gives back: an answer or a failure, and the pieces of a streamed answer."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from contracts.content import ChatMessageV1
from contracts.delta import ToolCallDeltaV1
from contracts.outcome import FailureType, FinishReason, UsageV1, WarningV1

Embeddings = list[list[float]] | list[str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider answered. `cost_usd` only where the provider itself names the price of the call."""

    message: ChatMessageV1 | None = None
    embeddings: Embeddings | None = None
    finish_reason: FinishReason | None = None
    usage: UsageV1 = field(default_factory=UsageV1)
    response_model: str | None = None
    response_id: str | None = None
    warnings: tuple[WarningV1, ...] = ()
    cost_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that gave no answer: an expected outcome, not an exception."""

    type: FailureType
    message: str
    provider_code: str | None = None
    retry_after_s: float | None = None
    usage_known_zero: bool = False
    """Nothing can have been billed: refused with an error status, or never connected."""
    usage: UsageV1 | None = None
    """What was billed all the same, where the provider said so."""


@dataclass(frozen=True, slots=True)
class DeltaPiece:
    """One piece of a streamed answer; `part` is the index of its part in the final message."""

    type: Literal["text", "reasoning", "tool_call"]
    part: int
    content: str | None = None
    tool_call: ToolCallDeltaV1 | None = None


OnDelta = Callable[[DeltaPiece], None]
