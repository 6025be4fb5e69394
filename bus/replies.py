"""Questions and their answers over one shared inbox: a future each, no task and no subscription a question."""

import asyncio

import nats.errors

from bus.errors import NobodyListens, Unavailable
from bus.wire import Incoming, Wire

REAP_EVERY_S = 0.25
Waiting = tuple[asyncio.Future[Incoming], float]


class Replies:
    """Asks over a connection. Every way to get no answer is Unavailable."""

    def __init__(self, nc: Wire) -> None:
        self._nc = nc
        self._loop: asyncio.AbstractEventLoop
        self._inbox = ""
        self._waiting: dict[str, Waiting] = {}
        self._count = 0
        self._reaper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to listen; the connection is up."""
        self._inbox, self._loop = self._nc.new_inbox() + ".", asyncio.get_running_loop()
        await self._nc.listen(self._inbox + "*", self._on_answer)
        self._reaper = asyncio.create_task(self._reap())

    def stop(self) -> None:
        if self._reaper is not None:
            self._reaper.cancel()

    async def ask(self, subject: str, body: bytes, headers: bytes, timeout_s: float) -> Incoming:
        """One question, one answer. Raises Unavailable."""
        return await self.begin(subject, body, headers, timeout_s)

    def begin(self, subject: str, body: bytes, headers: bytes, timeout_s: float) -> asyncio.Future[Incoming]:
        """A question whose answer is awaited later, so that several can be on their way. Raises Unavailable, now or when awaited."""
        self._count += 1
        reply = f"{self._inbox}{self._count}"
        try:
            self._nc.send(subject, body, reply, headers)
        except (nats.errors.Error, OSError) as error:
            raise Unavailable(f"{subject!r}: {error!r}") from error
        future: asyncio.Future[Incoming] = self._loop.create_future()
        self._waiting[reply] = future, self._loop.time() + timeout_s
        return future

    def fail_all(self) -> None:
        """The connection is gone: what was asked over it will not be answered."""
        waiting, self._waiting = self._waiting, {}
        for future, _ in waiting.values():
            if not future.done():
                future.set_exception(Unavailable("disconnected before the answer"))

    def _on_answer(self, message: Incoming) -> None:
        waiting = self._waiting.pop(message.subject, None)
        if waiting is None or waiting[0].done():
            return
        if message.status == "503":
            why = "no stream or service listens there: not provisioned ('headrace doctor --apply'), or a cluster is electing a leader"
            waiting[0].set_exception(NobodyListens(why))
        else:
            waiting[0].set_result(message)

    async def _reap(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(REAP_EVERY_S)
            now = loop.time()
            for reply in [reply for reply, (_, deadline) in self._waiting.items() if deadline < now]:
                future, _ = self._waiting.pop(reply)
                if not future.done():
                    future.set_exception(Unavailable("the bus did not answer in time"))
