"""A consumer's loop: pull only what can start now, keep long handlers alive, survive everything the bus may do."""

import asyncio
import contextlib

import nats.errors
import structlog
from nats.js.errors import APIError

from bus.connection import Bus
from bus.delivery import Delivery, Handler, from_message
from bus.errors import Unavailable
from bus.handling import answer
from bus.patience import Patience
from bus.provision import ensure_consumer
from bus.streams import ACK_WAIT_S, Consumer
from bus.wire import Incoming

log = structlog.get_logger()

HEARTBEAT_S = 1.0
EXPIRES_S = 30.0
PATIENT_LOOK_S = 0.05
"""A worker that gave way looks this often whether it may go on."""
DELETED_S = 0.5
"""The server tells of a deletion before it has removed the consumer's folder: a consumer made in that moment loses its own."""
LOOK_S = 2.0
"""A cluster without a leader does not answer, and the next one answers only those who ask then."""
GONE = ("consumer deleted", "no responders", "consumer not found", "stream deleted")


class Worker:
    """Feeds one handler from one durable, at most `slots` messages at a time."""

    def __init__(self, bus: Bus, consumer: Consumer, handler: Handler, *, service: str, slots: int, patience: Patience | None = None) -> None:
        self.bus, self.consumer, self.handler, self.service = bus, consumer, handler, service
        self.slots, self.patience = slots, patience
        self._asked = 0
        self._running: dict[asyncio.Task[None], Delivery] = {}
        self._heard = self._spoken = 0.0
        self._stopping = False
        self._ticker: asyncio.Task[None] | None = None
        self._last_tick = 0.0
        self._again_at = 0.0
        self._mending: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._inbox = self.bus.nc.new_inbox()
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{self.consumer.stream}.{self.consumer.durable}"
        self._loop = asyncio.get_running_loop()
        self._spoken = self._loop.time()
        self._subscription = await self.bus.nc.listen(self._inbox, self._on)
        self.bus.on_reconnect.append(self._start_over)
        self._pull()
        self._ticker = asyncio.create_task(self._tick())

    async def stop(self, grace_s: float = 0.0) -> None:
        """Stop pulling, give running handlers `grace_s` seconds, then cancel them: each answers its message or naks it."""
        self._stopping = True
        if self._start_over in self.bus.on_reconnect:
            self.bus.on_reconnect.remove(self._start_over)
        await self._hand_back()
        if self._running and grace_s:
            await asyncio.wait(self._running, timeout=grace_s)
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=3)
        for beside in (self._ticker, self._mending):
            if beside is not None:
                beside.cancel()

    async def _hand_back(self) -> None:
        """End the subscription, and nak what was on its way to us: dropped, it would wait for a whole `ack_wait`."""
        with contextlib.suppress(nats.errors.Error, TimeoutError):
            await self.bus.nc.leave(self._subscription, LOOK_S)

    @property
    def busy(self) -> int:
        """Messages being handled now."""
        return len(self._running)

    @property
    def silent_s(self) -> float:
        """Seconds since the consumer was last heard, although there is room for messages; 0 while there is none."""
        return self._loop.time() - self._spoken if self.busy < self._allowed else 0.0

    @property
    def _allowed(self) -> int:
        return self.patience.allowed if self.patience else self.slots

    def _pull(self) -> None:
        """Ask for as many messages as there are free slots, a quarter of them at least."""
        allowed = self._allowed
        free = allowed - len(self._running) - self._asked
        if self._stopping or free <= 0 or (self._asked and free * 4 < allowed):
            return
        self._asked += free
        request = b'{"batch":%d,"expires":%d,"idle_heartbeat":%d}' % (free, int(EXPIRES_S * 1e9), int(HEARTBEAT_S * 1e9))
        with contextlib.suppress(nats.errors.Error):
            self.bus.nc.send(self._next, request, self._inbox)

    async def _start_over(self) -> None:
        """Earlier pull requests are dead (server restarted, connection or consumer lost): forget them and ask again."""
        self._asked, self._heard = 0, self._loop.time()
        self._pull()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(PATIENT_LOOK_S if self.patience is not None and self.patience.allowed < self.slots else HEARTBEAT_S)
            now = self._loop.time()
            if not self.bus.nc.is_connected:
                continue
            if now - self._last_tick >= ACK_WAIT_S / 3:
                self._last_tick = now
                for delivery in list(self._running.values()):
                    with contextlib.suppress(nats.errors.Error):
                        delivery.in_progress(self.bus.nc)
            if self._asked and now - self._heard > 3 * HEARTBEAT_S:
                await self._start_over()
            else:
                self._pull()

    def _on(self, message: Incoming) -> None:
        self._heard = self._loop.time()
        if message.status != "503":  # nobody is there to answer
            self._spoken = self._heard
        if message.reply.startswith("$JS.ACK."):
            self._asked = max(0, self._asked - 1)
            delivery = from_message(message, self.bus.subjects)
            if self._stopping:
                delivery.nak(self.bus.nc, 0)
                return
            task = self._loop.create_task(self._handle(delivery))
            self._running[task] = delivery
        elif message.status != "100":
            self._told(message)

    def _told(self, message: Incoming) -> None:
        """What the server says of a pull request: ended, refused, or the consumer is gone."""
        status, description = message.status, message.description
        if status == "503" or any(word in description.lower() for word in GONE):
            self._mending = self._loop.create_task(self._made_again(description or "no responders"))
            return
        pending = message.headers.get("Nats-Pending-Messages")
        self._asked = max(0, self._asked - int(pending or 0))
        if status == "409" and pending is None:
            self._asked = 0
        if status in ("404", "408"):
            self._pull()

    async def _made_again(self, why: str) -> None:
        """The consumer was deleted under us, or has no leader just now: see that it is there, at most once a second."""
        self._asked = 0
        if self._stopping or self._loop.time() < self._again_at:
            return
        self._again_at = self._loop.time() + 1.0
        log.warning("consumer_lost", consumer=self.consumer.durable, why=why)
        await asyncio.sleep(DELETED_S)
        try:
            await ensure_consumer(self.bus, self.consumer, again=True, timeout_s=LOOK_S)
        except (APIError, nats.errors.Error, Unavailable) as error:
            log.warning("consumer_not_made", consumer=self.consumer.durable, error=str(error))
            return
        await self._start_over()

    async def _handle(self, delivery: Delivery) -> None:
        try:
            await answer(self.bus, delivery, self.handler, self.service)
        finally:
            task = asyncio.current_task()
            if task is not None:
                self._running.pop(task, None)
            if not self._stopping:
                self._pull()
