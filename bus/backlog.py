"""What waits for each durable consumer: how many messages, since when, and how many are in hand."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from bus.connection import Bus
from bus.errors import Unavailable
from bus.stored import ApiError, Stored, from_direct
from bus.streams import consumers
from contracts.request import LANES

ANSWER_S = 2.0
SHARED = "all"
"""The lane of a provider's consumer that serves them all."""
ADAPTER = "adapter-"


@dataclass(frozen=True)
class Backlog:
    """A durable consumer now. `oldest_at`: when the oldest message was stored that it has not acknowledged."""

    stream: str
    durable: str
    waiting: int
    in_flight: int
    limit: int
    """How many it may have in flight."""
    oldest_at: datetime | None = None

    @property
    def lane(self) -> str | None:
        """None for a consumer that serves no lane in particular."""
        last = self.durable.rpartition("-")[2]
        return last if last in (*LANES, SHARED) else None

    @property
    def provider(self) -> str | None:
        """Whose calls an adapter's consumer reads."""
        return self.durable.removeprefix(ADAPTER).rpartition("-")[0] if self.durable.startswith(ADAPTER) and self.lane else None


class _Floor(BaseModel):
    stream_seq: int = 0


class _Info(BaseModel):
    name: str
    config: dict[str, Any]
    ack_floor: _Floor = _Floor()
    num_pending: int = 0
    num_ack_pending: int = 0

    @property
    def filters(self) -> list[str]:
        return self.config.get("filter_subjects") or [self.config.get("filter_subject") or ">"]


class _Page(BaseModel):
    total: int = 0
    consumers: list[_Info] | None = None
    error: ApiError | None = None


async def backlogs(bus: Bus) -> list[Backlog]:
    """Every durable on the streams that services read: one question a stream, and one for each that has a backlog. Raises Unavailable."""
    names = sorted({consumer.stream for consumer in consumers(bus.subjects.root).values()} | {"CALLS"})
    found = await asyncio.gather(*(_durables(bus, name) for name in names))
    pairs = [(name, info) for name, infos in zip(names, found, strict=True) for info in infos]
    oldest = await asyncio.gather(*(_oldest_at(bus, name, info) for name, info in pairs))
    return [
        Backlog(name, info.name, info.num_pending, info.num_ack_pending, int(info.config.get("max_ack_pending", 0)), at)
        for (name, info), at in zip(pairs, oldest, strict=True)
    ]


async def _durables(bus: Bus, stream: str) -> list[_Info]:
    found: list[_Info] = []
    while True:
        answer = await bus.request(f"$JS.API.CONSUMER.LIST.{stream}", b'{"offset":%d}' % len(found), timeout_s=ANSWER_S)
        page = _Page.model_validate_json(answer.data)
        if page.error is not None:
            raise Unavailable(f"stream {stream!r}: {page.error.description} ({page.error.err_code})")
        found += page.consumers or []
        if not page.consumers or len(found) >= page.total:
            return [info for info in found if info.config.get("durable_name")]


async def _oldest_at(bus: Bus, stream: str, info: _Info) -> datetime | None:
    """All up to the floor are acknowledged, so the first one above it that the consumer reads is the oldest."""
    if not info.num_pending and not info.num_ack_pending:
        return None
    oldest = [one for one in await asyncio.gather(*_firsts(bus, stream, info.ack_floor.stream_seq + 1, info.filters)) if one is not None]
    return min((one.stored_at for one in oldest), default=None)


def _firsts(bus: Bus, stream: str, seq: int, filters: Iterable[str]) -> Iterable[Any]:
    async def first(subject: str) -> Stored | None:
        query = b'{"seq":%d,"next_by_subj":"%s"}' % (seq, subject.encode())
        return from_direct(await bus.request(f"$JS.API.DIRECT.GET.{stream}", query, timeout_s=ANSWER_S))

    return [first(subject) for subject in filters]
