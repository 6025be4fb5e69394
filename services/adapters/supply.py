"""Which consumers this process feeds from: the configured providers' lanes, followed as the configuration changes."""

import asyncio
import contextlib

import nats.errors
import structlog
from nats.js.errors import APIError, NotFoundError

from bus.application import Application
from bus.delivery import Handler
from bus.errors import Unavailable
from bus.provision import delete_consumer, ensure_consumer
from bus.streams import Consumer
from bus.worker import Worker
from contracts.config import ConfigV1, ProviderV1
from services.adapters.lanes import all_durables, consumers_of

log = structlog.get_logger()

DRAIN_LOOK_S = 0.5
LONGEST_CALL_S = 24 * 3600.0


class Supply:
    """A worker for each durable of each provider. A lane regrouping waits until the old consumers are drained (delivery rule 8)."""

    def __init__(self, app: Application, handler: Handler) -> None:
        self.bus, self._app, self._handler = app.bus, app, handler
        self._workers: dict[str, Worker] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        app.config.on_change(lambda _: self._changed.set())

    async def run(self) -> None:
        """Follow the configuration until cancelled; what fails is tried again."""
        while True:
            self._changed.clear()
            settled = True
            config = self._app.config.current
            if config is not None:
                settled = await self._follow(config)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), None if settled else DRAIN_LOOK_S)

    async def _follow(self, config: ConfigV1) -> bool:
        """Bring the workers to a configuration; False: not everything is in place yet."""
        wanted = {
            consumer.durable: (consumer, provider.max_in_flight)
            for provider in config.providers
            for consumer in consumers_of(provider, self.bus.subjects.prefix)
        }
        for name in [name for name, worker in self._workers.items() if wanted.get(name) != (worker.consumer, worker.slots)]:
            self._leave(self._workers.pop(name))
        settled = True
        for provider in config.providers:
            try:
                settled &= await self._serve(provider)
            except (APIError, nats.errors.Error, Unavailable, OSError) as error:
                log.warning("supply_waits", provider=provider.id, error=str(error))
                settled = False
        return settled

    async def _serve(self, provider: ProviderV1) -> bool:
        wanted = consumers_of(provider, self.bus.subjects.prefix)
        if not await self._regrouped(provider, {consumer.durable for consumer in wanted}):
            return False
        for consumer in wanted:
            if consumer.durable not in self._workers:
                await ensure_consumer(self.bus, consumer)
                await self._begin(consumer, provider.max_in_flight)
        return True

    async def _regrouped(self, provider: ProviderV1, wanted: set[str]) -> bool:
        """Whether no other grouping's consumer is left; drained ones are deleted."""
        clear = True
        for durable in all_durables(provider.id):
            if durable in wanted:
                continue
            try:
                info = await self.bus.nc.jetstream().consumer_info("CALLS", durable)
            except NotFoundError:
                continue
            if info.num_ack_pending:
                clear = False
            else:
                await delete_consumer(self.bus, "CALLS", durable)
        return clear

    async def _begin(self, consumer: Consumer, slots: int) -> None:
        """Slots for all that a provider takes: how many of them are this lane's now, the server knows."""
        worker = Worker(self.bus, consumer, self._handler, service="adapters", slots=slots)
        await self._app.work(worker)
        self._workers[consumer.durable] = worker
        log.info("serving", consumer=consumer.durable, slots=slots)

    def _leave(self, worker: Worker) -> None:
        """Stop pulling; what runs may finish in its own time."""
        self._app.release(worker)
        task = asyncio.create_task(worker.stop(LONGEST_CALL_S))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
