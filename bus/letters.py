"""Dead letters read: chosen by who buried them, for whom, why and when; found by their ids. Pages at a time, never all in memory."""

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from bus.connection import Bus
from bus.reading import first_since, past_the_end
from bus.stored import Stored
from contracts.dead_letter import DeadLetterV1

STREAM = "DEAD_LETTERS"
PAGE = 256
CLOCKS = timedelta(minutes=1)
"""How far the clocks of a cluster's servers may be apart."""
SOURCES = frozenset({"REQUESTS", "CANCELS", "CALLS", "ATTEMPTS", "VERDICTS", "RESULTS", "DOCUMENTS"})
"""Streams that services read. A stream that is not there would answer no direct get."""


@dataclass(frozen=True)
class Chosen:
    """Which dead letters; what is None is not asked for. `since` is a time or a sequence of the stream."""

    service: str | None = None
    tenant: str | None = None
    reason: str | None = None
    since: datetime | int | None = None

    def subject(self, bus: Bus) -> str:
        return bus.subjects.dead(self.service or "*", self.tenant or "*")


async def letters(bus: Bus, chosen: Chosen) -> AsyncIterator[tuple[int, DeadLetterV1]]:
    """The chosen dead letters that stand there now, oldest first, each with its sequence. What dies again meanwhile is not among them."""
    subject = chosen.subject(bus)
    start = chosen.since if isinstance(chosen.since, int) else await first_since(bus, STREAM, subject, chosen.since)
    async for stored in _stored(bus, subject, start, await past_the_end(bus, STREAM, subject)):
        letter = DeadLetterV1.model_validate_json(stored.body)
        if chosen.reason is None or letter.reason == chosen.reason:
            yield stored.seq, letter


async def at(bus: Bus, seq: int) -> DeadLetterV1 | None:
    """The dead letter at a sequence, unless it has gone."""
    stored = await bus.get(STREAM, seq)
    return None if stored is None else DeadLetterV1.model_validate_json(stored.body)


async def find(bus: Bus, letter_id: str) -> DeadLetterV1 | None:
    """The dead letter of this id."""
    found = await sequences(bus, [letter_id])
    return await at(bus, found[letter_id]) if found else None


async def sequences(bus: Bus, ids: Collection[str]) -> dict[str, int]:
    """Where these dead letters stand; an id that is not there is left out.

    An id is `<stream>-<sequence>-<service>`: only that service's letters are read, from the moment on when the first of their messages was stored.
    """
    by_service: dict[str, dict[str, tuple[str, int]]] = {}
    for letter_id in ids:
        stream, _, rest = letter_id.partition("-")
        seq, _, service = rest.partition("-")
        if seq.isdecimal() and service and not set(" .*>") & set(service):
            by_service.setdefault(service, {})[letter_id] = (stream, int(seq))
    found: dict[str, int] = {}
    for service, sources in by_service.items():
        found |= await _sequences(bus, service, sources)
    return found


async def _sequences(bus: Bus, service: str, sources: dict[str, tuple[str, int]]) -> dict[str, int]:
    subject = bus.subjects.dead(service, "*")
    start = await first_since(bus, STREAM, subject, await _earliest(bus, set(sources.values())))
    found: dict[str, int] = {}
    async for stored in _stored(bus, subject, start, await past_the_end(bus, STREAM, subject)):
        letter_id = _id(stored)
        if letter_id in sources:
            found[letter_id] = stored.seq
            if len(found) == len(sources):
                break
    return found


async def _earliest(bus: Bus, sources: set[tuple[str, int]]) -> datetime | None:
    """When the oldest of these messages was stored; None when one has left its stream."""
    oldest = {stream: min(seq for of, seq in sources if of == stream) for stream, _ in sources}
    moments = []
    for stream, seq in oldest.items():
        stored = await bus.get(stream, seq) if stream in SOURCES else None
        if stored is None:
            return None
        moments.append(stored.stored_at - CLOCKS)
    return min(moments)


def _id(stored: Stored) -> str:
    """From the header that every burial writes; else from the body."""
    return stored.headers.get("Nats-Msg-Id") or DeadLetterV1.model_validate_json(stored.body).id


async def _stored(bus: Bus, subject: str, seq: int, end: int) -> AsyncIterator[Stored]:
    while seq < end and (page := await bus.scan(STREAM, seq, PAGE, subject)):
        for stored in page:
            if stored.seq >= end:
                return
            seq = stored.seq + 1
            yield stored
