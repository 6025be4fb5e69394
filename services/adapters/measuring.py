"""What a dial leaves in the metrics: its duration, its tokens, and that it is under way."""

import time
from collections.abc import Awaitable

from contracts.call import CallV1
from contracts.outcome import UsageV1
from observability import metrics
from observability.labels import known, lane_label

from .protocol import Answer, Failure


async def measured(call: CallV1, dialling: Awaitable[Answer | Failure]) -> Answer | Failure:
    """The outcome of a dial, which is counted while it lasts and measured when it ends."""
    if not metrics.recorded():
        return await dialling
    provider, lane = known.provider(call.provider), lane_label(call.origin.lane)
    began = time.perf_counter()
    metrics.CALLS_IN_FLIGHT.add(1, provider, lane)
    try:
        outcome = await dialling
    finally:
        metrics.CALLS_IN_FLIGHT.add(-1, provider, lane)
    operation = operation_of(call, outcome)
    metrics.OPERATION_DURATION.record(time.perf_counter() - began, *operation)
    _count_tokens(outcome.usage, operation)
    return outcome


def first_chunk(call: CallV1, outcome: Answer | Failure, first_token_s: float | None) -> None:
    """A streamed call's time to its first content, where any came."""
    if first_token_s is not None:
        metrics.TIME_TO_FIRST_CHUNK.record(first_token_s, *operation_of(call, outcome))


def operation_of(call: CallV1, outcome: Answer | Failure) -> tuple[str, str, str, str | None]:
    """The labels of a call: operation, provider, model and how it failed."""
    failed = outcome.type if isinstance(outcome, Failure) else None
    return "embeddings" if call.embed else "chat", known.provider(call.provider), known.model(call.provider, call.model), failed


def _count_tokens(usage: UsageV1 | None, operation: tuple[str, str, str, str | None]) -> None:
    if usage is None:
        return
    if usage.input_tokens:
        metrics.TOKEN_USAGE.record(usage.input_tokens, *operation, "input")
    if usage.output_tokens:
        metrics.TOKEN_USAGE.record(usage.output_tokens, *operation, "output")
