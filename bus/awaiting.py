"""Results of many requests of one tenant, awaited over one subscription; what it missed is read from RESULTS."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from bus.connection import Bus
from bus.errors import Unavailable
from contracts.result import ResultV1

TICK_S = 0.05
FIRST_LOOK_S, LONGEST_WAIT_S = 0.1, 30.0
LOOKS_AT_ONCE = 64


class NoResult(Exception):
    """No result came within the time that the caller gave; the request goes on and its result can be read later."""


@dataclass
class _Wait:
    future: "asyncio.Future[bytes]"
    look_at: float
    patience_s: float = FIRST_LOOK_S
    readers: int = 0


class Results:
    """Hears all results of a tenant and hands each to whoever awaits it; the others are dropped unread.

    A result that stood there before, or went by while the connection was away, is looked up by direct get: first soon, then
    ever more rarely, and at once after a reconnect; `LOOKS_AT_ONCE` at a time.
    """

    def __init__(self, bus: Bus, tenant: str) -> None:
        self._bus, self._tenant = bus, tenant
        self._waiting: dict[str, _Wait] = {}
        self._subscription: Subscription | None = None
        self._looking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        subject = self._bus.subjects.result(self._tenant, "*")
        self._subscription = await self._bus.nc.subscribe(subject, cb=self._hear, pending_msgs_limit=-1, pending_bytes_limit=-1)
        self._bus.on_reconnect.append(self._look_at_all)
        self._looking = asyncio.create_task(self._catch_up())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._bus.on_reconnect.remove(self._look_at_all)
        if self._looking is not None:
            self._looking.cancel()
        if self._subscription is not None and not self._bus.nc.is_closed:
            with suppress(nats.errors.BadSubscriptionError, nats.errors.ConnectionClosedError):
                await self._subscription.unsubscribe()

    async def result(self, request_id: str, timeout_s: float) -> ResultV1:
        """The result of a request, awaited for `timeout_s`. Raises NoResult."""
        loop = asyncio.get_running_loop()
        wait = self._waiting.setdefault(request_id, _Wait(loop.create_future(), loop.time() + FIRST_LOOK_S))
        wait.readers += 1
        try:
            async with asyncio.timeout(timeout_s):
                body = await asyncio.shield(wait.future)
        except TimeoutError:
            raise NoResult(f"no result of {request_id!r} within {timeout_s:g} s; it goes on: read it later with 'headrace results {request_id}'") from None
        finally:
            wait.readers -= 1
            if not wait.readers:
                self._waiting.pop(request_id, None)
        return ResultV1.model_validate_json(body)

    async def _hear(self, message: Msg) -> None:
        wait = self._waiting.get(message.subject.rpartition(".")[2])
        if wait is not None and not wait.future.done():
            wait.future.set_result(message.data)

    async def _look_at_all(self) -> None:
        for wait in self._waiting.values():
            wait.look_at, wait.patience_s = 0.0, FIRST_LOOK_S

    async def _catch_up(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK_S)
            now = loop.time()
            due = [request_id for request_id, wait in self._waiting.items() if wait.look_at <= now]
            for start in range(0, len(due), LOOKS_AT_ONCE):
                await asyncio.gather(*(self._look(request_id) for request_id in due[start : start + LOOKS_AT_ONCE]))

    async def _look(self, request_id: str) -> None:
        wait = self._waiting.get(request_id)
        if wait is None or wait.future.done():
            return
        try:
            stored = await self._bus.last("RESULTS", self._bus.subjects.result(self._tenant, request_id), any_replica=True)
        except Unavailable:
            stored = None
        else:
            wait.patience_s = min(wait.patience_s * 4, LONGEST_WAIT_S)
        wait.look_at = asyncio.get_running_loop().time() + wait.patience_s
        if stored is not None and not wait.future.done():
            wait.future.set_result(stored.body)
