"""Questions and their answers over one shared inbox: a future each, no task and no subscription a question."""

import asyncio

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from bus.errors import Unavailable

REAP_EVERY_S = 0.25


class Replies:
    """Asks over a connection. Every way to get no answer is Unavailable."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._inbox = ""
        self._waiting: dict[str, asyncio.Future[Msg]] = {}
        self._deadlines: dict[str, float] = {}
        self._count = 0
        self._reaper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to listen; the connection is up."""
        self._inbox = self._nc.new_inbox() + "."
        await self._nc.subscribe(self._inbox + "*", cb=self._on_answer, pending_msgs_limit=-1, pending_bytes_limit=-1)
        self._reaper = asyncio.create_task(self._reap())

    def stop(self) -> None:
        if self._reaper is not None:
            self._reaper.cancel()

    async def ask(self, subject: str, body: bytes, headers: dict[str, str] | None, timeout_s: float) -> Msg:
        """One question, one answer. Raises Unavailable."""
        self._count += 1
        key = str(self._count)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Msg] = loop.create_future()
        self._waiting[key], self._deadlines[key] = future, loop.time() + timeout_s
        try:
            await self._nc.publish(subject, body, reply=self._inbox + key, headers=headers)
            return await future
        except (nats.errors.Error, OSError) as error:
            raise Unavailable(f"{subject!r}: {error!r}") from error
        finally:
            self._waiting.pop(key, None)
            self._deadlines.pop(key, None)

    def fail_all(self) -> None:
        """The connection is gone: what was asked over it will not be answered."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(Unavailable("disconnected before the answer"))

    async def _on_answer(self, message: Msg) -> None:
        future = self._waiting.pop(message.subject[len(self._inbox) :], None)
        if future is None or future.done():
            return
        if message.headers and message.headers.get("Status") == "503":
            future.set_exception(Unavailable("no stream or service listens there; is it provisioned? ('headrace doctor --apply')"))
        else:
            future.set_result(message)

    async def _reap(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(REAP_EVERY_S)
            now = loop.time()
            for key in [key for key, deadline in self._deadlines.items() if deadline < now]:
                self._deadlines.pop(key, None)
                future = self._waiting.pop(key, None)
                if future is not None and not future.done():
                    future.set_exception(Unavailable("the bus did not answer in time"))
