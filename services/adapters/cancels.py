"""Every adapter process hears every cancel: remembered while they last, and told to the calls in flight."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator

import nats.errors
import structlog
from nats.js.errors import APIError

from bus.connection import Bus
from bus.errors import Unavailable

log = structlog.get_logger()

REMEMBERED_S = 600.0
LOOK_AGAIN_S = 0.5


class Cancels:
    """Reads CANCELS by sequence: nothing is missed, whatever the connection does, and no consumer is made."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self._at: dict[tuple[str, str], float] = {}
        self._inflight: dict[tuple[str, str], set[Callable[[], object]]] = {}
        self._cursor = 1
        self._wake = asyncio.Event()

    def cancelled(self, tenant: str, request_id: str) -> bool:
        return (tenant, request_id) in self._at

    @contextlib.contextmanager
    def told(self, tenant: str, request_id: str, abort: Callable[[], object]) -> Iterator[None]:
        """While in the block, a cancel of this request calls `abort`."""
        key = (tenant, request_id)
        self._inflight.setdefault(key, set()).add(abort)
        try:
            yield
        finally:
            self._inflight[key].discard(abort)
            if not self._inflight[key]:
                del self._inflight[key]

    async def start(self) -> None:
        """Hear cancels live, and read those that are stored already."""

        async def heard(_: object) -> None:
            self._wake.set()

        await self.bus.nc.subscribe(f"{self.bus.subjects.prefix}cancel.*.*", cb=heard)
        with contextlib.suppress(Unavailable):
            await self._read()

    async def run(self) -> None:
        """Read what is new, at once when a cancel is heard, else every half second."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), LOOK_AGAIN_S)
            self._wake.clear()
            try:
                await self._read()
            except (Unavailable, APIError, nats.errors.Error) as error:
                log.debug("cancels_wait", error=str(error))

    async def _read(self) -> None:
        while found := await self.bus.scan("CANCELS", self._cursor, 256):
            self._cursor = found[-1].seq + 1
            for stored in found:
                _, tenant, request_id = self.bus.subjects.tokens(stored.subject)
                self._at[(tenant, request_id)] = time.monotonic()
                for abort in list(self._inflight.get((tenant, request_id), ())):
                    abort()
        oldest = time.monotonic() - REMEMBERED_S
        while self._at and next(iter(self._at.values())) < oldest:
            del self._at[next(iter(self._at))]
