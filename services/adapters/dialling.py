"""One dial: ask the provider, unless a cancel, the deadline or the end of this process comes first. Every way to end is an outcome."""

import asyncio
import contextlib
import time
from datetime import UTC, datetime

import nats.errors

from bus.connection import Bus
from bus.handling import fault_of
from contracts.call import CallV1
from contracts.delta import DeltaV1
from observability.tracing import recording, span

from . import telemetry
from .attempts import Dial
from .cancels import Cancels
from .coalesce import Coalescer
from .measuring import first_chunk, measured
from .protocol import Answer, Client, DeltaPiece, Failure
from .providers import Providers, Unusable

CANCELLED = Failure("cancelled", "cancelled by its producer")
LEAVING = Failure("outcome_unknown", "the adapter was stopped before the answer came")


class Dialler:
    """Asks providers. Their clients do the only I/O beside the bus."""

    def __init__(self, bus: Bus, providers: Providers, cancels: Cancels) -> None:
        self.bus, self.providers, self.cancels = bus, providers, cancels

    async def dial(self, call: CallV1, seq: int, queue_s: float) -> tuple[Answer | Failure, Dial]:
        """The outcome of one call, and the facts of its dial. `seq`: the call's sequence in CALLS."""
        began = time.perf_counter()
        told = Told(self.bus, call) if call.chat is not None and call.chat.stream else None
        vendor = self.providers.vendor(call.provider)
        asked = self._observed(call, told) if recording() else self._unless_cancelled(call, told)
        outcome = await (asked if isinstance(self.providers.client(call.provider), Unusable) else measured(call, vendor, asked))
        took_s = time.perf_counter() - began
        first_token_s = told.first_after(began) if told is not None else None
        first_chunk(call, vendor, outcome, first_token_s)
        return outcome, Dial(seq, queue_s, took_s, first_token_s, first_token_s is not None)

    async def _observed(self, call: CallV1, told: "Told | None") -> Answer | Failure:
        """The same under a span of its own."""
        began, captures = time.perf_counter(), self.providers.captures(call.origin.tenant)
        question = telemetry.captured_question(call.chat) if captures and call.chat is not None else {}
        facts = {**telemetry.asked(call, self.providers.server(call.provider)), **question}
        with span(f"{telemetry.operation_of(call)} {call.model}", "client", facts) as current:
            outcome = await self._unless_cancelled(call, told)
            if current is not None:
                telemetry.answered(current, outcome, told.first_after(began) if told is not None else None)
                current.set_attributes(telemetry.captured_answer(outcome) if captures else {})
            return outcome

    async def _unless_cancelled(self, call: CallV1, told: "Told | None") -> Answer | Failure:
        """The dial runs in its delivery's own task; a cancel or the end of this process ends it, and its attempt is published all the same."""
        origin, task = call.origin, asyncio.current_task()
        if task is None:
            raise RuntimeError("a dial runs in a task")
        try:
            with self.cancels.told(origin.tenant, origin.request_id, task.cancel):
                ended = await fault_of(self._ask(call, told))
        except asyncio.CancelledError:
            task.uncancel()
            return CANCELLED if self.cancels.cancelled(origin.tenant, origin.request_id) else LEAVING
        return Failure("outcome_unknown", f"the adapter failed in mid-call: {type(ended).__name__}") if isinstance(ended, Exception) else ended

    async def _ask(self, call: CallV1, told: "Told | None") -> Answer | Failure:
        client = self.providers.client(call.provider)
        if isinstance(client, Unusable):
            return Failure("auth", client.why, usage_known_zero=True)
        offer = self.providers.offer(call.provider, call.model)
        left_s = (call.origin.deadline - datetime.now(UTC)).total_seconds()
        timeout_s = min(offer.timeout_s if offer else 120.0, max(left_s, 0.001))
        return await _asked(client, call, timeout_s, told)


class Told:
    """The deltas of one streamed call, sent as they come."""

    def __init__(self, bus: Bus, call: CallV1) -> None:
        self.first_at: float | None = None
        self._bus = bus
        self._subject = bus.subjects.delta(call.origin.tenant, call.origin.request_id)
        self.coalescer = Coalescer(self._send, call.origin.request_id, call.n)

    def add(self, piece: DeltaPiece) -> None:
        if self.first_at is None:
            self.first_at = time.perf_counter()
        self.coalescer.add(piece)

    def first_after(self, began: float) -> float | None:
        """Seconds from then to the first content; None where none came."""
        return None if self.first_at is None else self.first_at - began

    async def _send(self, delta: DeltaV1) -> None:
        with contextlib.suppress(nats.errors.Error):
            await self._bus.send(self._subject, delta.model_dump_json().encode())


async def _asked(client: Client, call: CallV1, timeout_s: float, told: Told | None) -> Answer | Failure:
    if call.embed is not None:
        return await client.embed(call.embed, call.model, timeout_s=timeout_s, idempotency_key=call.call_id)
    if call.chat is None:
        return Failure("invalid_request", "a call carries neither chat nor embed", usage_known_zero=True)
    if told is None:
        return await client.chat(call.chat, call.model, timeout_s=timeout_s, idempotency_key=call.call_id)
    async with told.coalescer:
        outcome = await client.chat(call.chat, call.model, timeout_s=timeout_s, idempotency_key=call.call_id, on_delta=told.add)
        await told.coalescer.close(outcome.finish_reason if isinstance(outcome, Answer) else "error")
    return outcome
