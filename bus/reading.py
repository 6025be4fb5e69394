"""Reading streams without a consumer: from one end to the other, where a time begins, and deltas put in order."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

from bus.connection import Bus
from bus.errors import Unavailable
from bus.stored import Stored
from contracts.delta import DeltaV1

PAGE_PAUSES_S = (0.5, 2.0, 5.0)


def in_order(deltas: list[DeltaV1], last: tuple[int, int]) -> tuple[list[DeltaV1], bool]:
    """The deltas that follow `last` (n, seq) without a gap, and whether none had to be left out.

    A higher `n` begins again at 0 and ends all lower ones; what was seen before or belongs to a lower `n` is dropped.
    """
    n, seq = last
    ready: list[DeltaV1] = []
    complete = True
    for delta in sorted(deltas, key=lambda delta: (delta.n, delta.seq)):
        if (delta.n, delta.seq) <= (n, seq):
            continue
        if delta.seq == (seq + 1 if delta.n == n else 0):
            n, seq = delta.n, delta.seq
            ready.append(delta)
        else:
            complete = False
    return ready, complete


async def first_since(bus: Bus, stream: str, subject: str, since: datetime | None) -> int:
    """The sequence of the first message on `subject` stored at `since` or later, 1 for None; past the end when there is none."""
    if since is None:
        return 1
    low, high = 1, await past_the_end(bus, stream, subject)
    while low < high:
        middle = (low + high) // 2
        found = await _at_or_after(bus, stream, subject, middle)
        if found is None or found.stored_at >= since:
            high = middle
        else:
            low = found.seq + 1
    return low


async def past_the_end(bus: Bus, stream: str, subject: str) -> int:
    """The sequence after the last message on `subject`, 1 when there is none."""
    last = await bus.last(stream, subject)
    return 1 if last is None else last.seq + 1


async def _at_or_after(bus: Bus, stream: str, subject: str, seq: int) -> Stored | None:
    page = await bus.scan(stream, seq, 1, subject)
    return page[0] if page else None


async def extent(bus: Bus, stream: str) -> tuple[int, int]:
    """The first and last sequence of a stream; last = first - 1 where it is empty."""
    last = await bus.last(stream, ">")
    first = await bus.scan(stream, 1, 1)
    return (first[0].seq, last.seq) if first and last is not None else (1, 0)


async def pages(bus: Bus, stream: str, first: int, last: int, size: int) -> AsyncIterator[list[Stored]]:
    """All messages from `first` to `last`, a page at a time; the next one is fetched while its reader works on this one."""
    fetched = asyncio.create_task(_page(bus, stream, first, size))
    try:
        while page := [stored for stored in await fetched if stored.seq <= last]:
            fetched = asyncio.create_task(_page(bus, stream, page[-1].seq + 1, size))
            yield page
    finally:
        fetched.cancel()


async def _page(bus: Bus, stream: str, seq: int, size: int) -> list[Stored]:
    """Who reads a million messages does not begin again because of one slow answer."""
    for pause_s in PAGE_PAUSES_S:
        try:
            return await bus.scan(stream, seq, size)
        except Unavailable:
            await asyncio.sleep(pause_s)
    return await bus.scan(stream, seq, size)
