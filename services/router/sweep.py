"""The sweep: calls that nobody takes end all the same (delivery rule 9). Each call is read once, after it has waited."""

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import nats.errors
import structlog
from pydantic import ValidationError

from bus.connection import Bus
from bus.errors import Exists, Unavailable
from bus.journal import claim
from bus.results import publish_result, result
from bus.stored import Stored
from bus.streams import ACK_WAIT_S
from contracts.attempt import AttemptFinishedV1
from contracts.call import CallBegunV1, CallV1
from contracts.outcome import NO_USAGE, AttemptErrorV1, AttemptSummaryV1, FailureType, UsageV1
from observability.labels import count_attempt
from observability.tracing import continued
from services.router import routing
from services.router.calls import LATER, Snapshot
from services.router.settings import RouterSettings

log = structlog.get_logger()

BATCH = 64
BETWEEN_BATCHES_S = 0.01
"""A long backlog is read in small bites, so that no request waits behind the reading."""
GRACE = timedelta(seconds=1.5)
"""Past a deadline an adapter has this long to say so itself."""
AGAIN_S = 5.0
FORGET_EVERY = 200


class Sweep:
    """Remembers (deadline, sequence, provider) of calls that wait, and acts when a deadline passes or a provider is gone."""

    def __init__(self, bus: Bus, snapshot: Snapshot, settings: RouterSettings) -> None:
        self.bus, self.snapshot, self.settings = bus, snapshot, settings
        self._cursor = 1
        self._due: list[tuple[datetime, int]] = []
        self._provider: dict[int, str] = {}

    async def run(self) -> None:
        """Sweep until cancelled; a bus that is away is waited for."""
        turn = 0
        while True:
            await asyncio.sleep(self.settings.sweep_every_s)
            turn += 1
            try:
                await self._read()
                await self._act()
                if turn % FORGET_EVERY == 0:
                    await self._forget()
            except (Unavailable, nats.errors.Error, TimeoutError) as error:
                log.warning("sweep_waits", error=str(error))

    async def _read(self) -> None:
        """Learn of calls that have waited `sweep_after_s`, from the cursor on."""
        old_enough = datetime.now(UTC) - timedelta(seconds=self.settings.sweep_after_s)
        while True:
            found = await self.bus.scan("CALLS", self._cursor, BATCH)
            for stored in found:
                if stored.stored_at > old_enough:
                    return
                self._cursor = stored.seq + 1
                self._remember(stored)
            if len(found) < BATCH:
                return
            await asyncio.sleep(BETWEEN_BATCHES_S)

    def _remember(self, stored: Stored) -> None:
        provider = self.bus.subjects.tokens(stored.subject)[1]
        try:
            deadline = datetime.fromisoformat(stored.headers["Headrace-Deadline"])
        except (KeyError, ValueError):
            deadline = stored.stored_at + timedelta(days=1)
        if provider != LATER:
            self._provider[stored.seq] = provider
        heapq.heappush(self._due, (deadline + GRACE, stored.seq))

    async def _act(self) -> None:
        now = datetime.now(UTC)
        served = {provider.id for provider in self.snapshot.config.providers}
        orphans = [seq for seq, provider in self._provider.items() if provider not in served]
        due: list[int] = []
        while self._due and self._due[0][0] <= now:
            due.append(heapq.heappop(self._due)[1])
        for seq in dict.fromkeys([*due, *orphans]):
            self._provider.pop(seq, None)
            stored = await self.bus.get("CALLS", seq)
            if stored is None:
                continue
            with continued(stored.headers):
                resolved = await self._resolve(stored, now, served)
            if not resolved:
                heapq.heappush(self._due, (now + timedelta(seconds=AGAIN_S), seq))

    async def _resolve(self, stored: Stored, now: datetime, served: set[str]) -> bool:
        """Act on one call; False: look again later."""
        try:
            call = CallV1.model_validate_json(stored.body)
        except ValidationError:
            return True
        expired = now >= call.origin.deadline
        if not expired and call.provider in served:
            return True
        entry = await claim(self.bus, call.origin, call.n, _entry(stored.seq, now))
        if entry is None or (entry.writer == "router" and entry.call_seq == stored.seq):
            why = f"not begun by its deadline {call.origin.deadline.isoformat()}" if expired else f"provider {call.provider!r} is no longer configured"
            await self._fail(call, stored.seq, "expired" if expired else "unavailable", why, now)
            return True
        if await self.bus.last("ATTEMPTS", self.bus.subjects.any_attempt(call.origin.tenant, call.origin.request_id, call.n)) is not None:
            if call.provider not in served:
                await self.bus.delete("CALLS", stored.seq)
            return call.provider not in served
        if expired:
            outcome = result(call.origin, call.slip.attempts, "expired", now, error=routing.deadline_exceeded(call.origin))
            await publish_result(self.bus, outcome)
        if call.provider not in served and now > entry.begun_at + self._lost_after(call):
            await self._fail(call, stored.seq, "outcome_unknown", "begun, and nobody serves its provider any more", now)
            return True
        return call.provider in served

    def _lost_after(self, call: CallV1) -> timedelta:
        offer = self.snapshot.catalog.find(call.provider, call.model)
        return timedelta(seconds=(offer.timeout_s if offer else 120.0) + 2 * ACK_WAIT_S)

    async def _fail(self, call: CallV1, seq: int, outcome: FailureType, why: str, now: datetime) -> None:
        """Publish the attempt that ends a call which we own, then remove the call."""
        origin = call.origin
        known_nothing = outcome != "outcome_unknown"
        attempt = AttemptFinishedV1(
            origin=origin,
            slip=call.slip,
            summary=AttemptSummaryV1(
                n=call.n,
                provider=call.provider,
                model=call.model,
                outcome=outcome,
                error=AttemptErrorV1(type=outcome, message=why),
                usage=NO_USAGE if known_nothing else UsageV1(),
                cost_usd=Decimal(0) if known_nothing else None,
            ),
            cost_basis="usage" if known_nothing else "unknown",
            estimated_cost_usd=call.estimated_cost_usd,
            call_seq=seq,
            occurred_at=now,
        )
        subjects = self.bus.subjects
        try:
            await self.bus.publish(
                subjects.attempt("failed", origin.lane, origin.tenant, origin.request_id, call.n),
                attempt.model_dump_json().encode(),
                none_on=subjects.any_attempt(origin.tenant, origin.request_id, call.n),
            )
        except Exists:
            log.info("ended_before", tenant=origin.tenant, request_id=origin.request_id, n=call.n)
        else:
            count_attempt(call.provider, call.model, origin.lane, outcome)
        await self.bus.delete("CALLS", seq)

    async def _forget(self) -> None:
        """Drop what the stream no longer holds: a backlog that was worked off must not stay in memory."""
        state = (await self.bus.nc.jetstream().stream_info("CALLS")).state
        first = state.first_seq if state.messages else state.last_seq + 1
        self._provider = {seq: provider for seq, provider in self._provider.items() if seq >= first}
        self._due = [entry for entry in self._due if entry[1] >= first]
        heapq.heapify(self._due)


async def take(bus: Bus, stored: Stored) -> bool:
    """Remove a call that nobody has begun (its request is ended already). False: an adapter has it."""
    call = CallV1.model_validate_json(stored.body)
    entry = await claim(bus, call.origin, call.n, _entry(stored.seq, datetime.now(UTC)))
    if entry is not None and not (entry.writer == "router" and entry.call_seq == stored.seq):
        return False
    await bus.delete("CALLS", stored.seq)
    return True


def _entry(seq: int, now: datetime) -> CallBegunV1:
    return CallBegunV1(call_seq=seq, delivery=0, writer="router", begun_at=now)
