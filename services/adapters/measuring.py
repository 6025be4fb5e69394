"""What a dial leaves in the metrics: its duration, its tokens, and that it is under way."""

import time
from collections.abc import Awaitable

from contracts.call import CallV1
from contracts.outcome import UsageV1
from observability import metrics
from observability.labels import known, lane_label

from .protocol import Answer, Failure

Operation = tuple[str, str, str, str, str | None]


async def measured(call: CallV1, vendor: str, dialling: Awaitable[Answer | Failure]) -> Answer | Failure:
    """The outcome of a dial, which is counted while it lasts and measured when it ends. `vendor`: OpenTelemetry's word for the provider."""
    if not metrics.recorded():
        return await dialling
    provider, lane = known.provider(call.provider), lane_label(call.origin.lane)
    began = time.perf_counter()
    metrics.CALLS_IN_FLIGHT.add(1, provider, lane)
    try:
        outcome = await dialling
    finally:
        metrics.CALLS_IN_FLIGHT.add(-1, provider, lane)
    operation = _operation(call, vendor, outcome)
    metrics.OPERATION_DURATION.record(time.perf_counter() - began, *operation)
    _count_tokens(outcome.usage, operation)
    return outcome


def first_chunk(call: CallV1, vendor: str, outcome: Answer | Failure, first_token_s: float | None) -> None:
    """A streamed call's time to its first content, where any came."""
    if first_token_s is not None:
        metrics.TIME_TO_FIRST_CHUNK.record(first_token_s, *_operation(call, vendor, outcome))


def _operation(call: CallV1, vendor: str, outcome: Answer | Failure) -> Operation:
    """The labels of a call: operation, vendor, model, configured provider and how it failed."""
    failed = outcome.type if isinstance(outcome, Failure) else None
    return "embeddings" if call.embed else "chat", vendor, known.model(call.provider, call.model), known.provider(call.provider), failed


def _count_tokens(usage: UsageV1 | None, operation: Operation) -> None:
    if usage is None:
        return
    if usage.input_tokens:
        metrics.TOKEN_USAGE.record(usage.input_tokens, *operation, "input")
    if usage.output_tokens:
        metrics.TOKEN_USAGE.record(usage.output_tokens, *operation, "output")
