"""One FastStream application: services register consumers, queries and background work on it."""

import argparse
import asyncio
import gc
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import nats.errors
import structlog
import uvloop
from faststream import FastStream
from faststream.nats import NatsBroker, NatsMessage

from bus.access import BadAccess
from bus.configuration import ConfigSource
from bus.connection import Bus
from bus.delivery import Handler
from bus.fleet import Reporter
from bus.patience import Lateness, Patience, measure
from bus.probes import PORT, BadPort, probes
from bus.provision import drift_of
from bus.streams import consumers
from bus.worker import Worker
from observability import metrics
from observability.exporting import configure_metrics, shutdown_metrics
from observability.faults import in_a_line
from observability.labels import known
from observability.logs import configure_logs, flush_logs, log_everything
from observability.sending import configure_tracing, shutdown_tracing

log = structlog.get_logger()

DEFAULT_SLOTS = 256
PATIENT_LANES = ("-bulk", "-batch")
PATIENT_SLOTS = 8
"""Handlers at once for lanes that can wait: few, so that an interactive message never queues behind many of theirs in this process."""
GRACE_S = 8.0
GC_OBJECTS = 20_000
"""New objects before the collector looks: messages are freed by their counts, cycles are rare."""
Settings = TypeVar("Settings")


class Drifted(Exception):
    """The server's consumers differ from what this version declares."""


@dataclass(frozen=True)
class Registration:
    durable: str
    handler: Handler
    service: str
    slots: int


class Application:
    """Lifecycle and cold paths by FastStream, the hot path by `bus.worker`. Everything registers before `run`."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.config = ConfigSource(bus)
        servers, security = list(bus.access.servers), bus.access.security()
        self.broker = NatsBroker(servers, max_reconnect_attempts=-1, reconnect_time_wait=1, logger=None, security=security)
        self.app = FastStream(self.broker, logger=None, on_startup=[self._start], on_shutdown=[self._stop])
        self.workers: list[Worker] = []
        """All that consume; services add those that they make themselves, and all are drained together."""
        self.ready = asyncio.Event()
        self.fault: str | None = None
        self.stopping = False
        self._registered: list[Registration] = []
        self._patient: list[Patience] = []
        self._lateness = Lateness()
        self._background: list[Callable[[], Awaitable[None]]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._on_start: list[Callable[[], Awaitable[None]]] = []
        self._on_stop: list[Callable[[], Awaitable[None]]] = []
        self._starting: asyncio.Task[None] | None = None
        self._reporter = Reporter(bus, lambda: self.config.current)
        self.config.on_change(known.take)
        metrics.BUS_CONNECTED.source = lambda: {(): int(self.bus.nc.is_connected)}
        metrics.EVENT_LOOP_LAG.source = lambda: {(): self._lateness.worst_s}

    def consume(self, stream: str, durable: str, handler: Handler, *, service: str, slots: int | None = None) -> None:
        """Feed `handler` from a durable that streams.py declares."""
        if consumers(self.bus.subjects.root)[durable].stream != stream:
            raise ValueError(f"durable {durable!r} is not declared on stream {stream!r}")
        self._registered.append(Registration(durable, handler, service, slots or slots_of(durable)))

    def background(self, run: Callable[[], Awaitable[None]]) -> None:
        """Run beside the consumers until the application stops."""
        self._background.append(run)

    def on_start(self, begin: Callable[[], Awaitable[None]]) -> None:
        """Await before anything is consumed, when the configuration is there."""
        self._on_start.append(begin)

    def on_stop(self, close: Callable[[], Awaitable[None]]) -> None:
        """Await after the consumers have stopped, in reverse order of registration."""
        self._on_stop.append(close)

    def query(self, what: str, handler: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Answer request/reply on `<root>.v1.query.<what>`; replicas share the questions."""

        async def answer(message: NatsMessage) -> bytes:
            return await handler(message.body)

        self.broker.subscriber(self.bus.subjects.query(what), queue=what)(answer)

    def query_of_tenants(self, what: str, handler: Callable[[str, bytes], Awaitable[bytes]]) -> None:
        """Answer request/reply on `<root>.v1.query.<what>.<tenant>`: the subject names the tenant, so that permissions hold it."""

        async def answer(message: NatsMessage) -> bytes:
            return await handler(message.raw_message.subject.rpartition(".")[2], message.body)

        self.broker.subscriber(self.bus.subjects.query(f"{what}.*"), queue=what)(answer)

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT. Raises SystemExit with the reason when background work failed: its supervisor must see it."""
        try:
            await self.app.run()
        except nats.errors.Error as error:
            if not self.stopping:
                raise
            log.warning("left_while_the_bus_was_away", error=repr(error))
        if self.fault is not None:
            raise SystemExit(f"headrace: {self.fault}")

    async def _start(self) -> None:
        await self.bus.connect()
        self._starting = asyncio.create_task(self._begin())
        self._starting.add_done_callback(self._end_on_fault)

    async def _begin(self) -> None:
        """After the signal handlers are in place: wait for configuration, check the consumers, begin."""
        await self.config.wait()
        self._tasks += [self._watched(self.config.run()), self._watched(measure(lambda: self._patient, self._lateness))]
        for begin in self._on_start:
            await begin()
        declared = consumers(self.bus.subjects.root)
        for registration in self._registered:
            consumer = declared[registration.durable]
            await self._check(registration.durable)
            await self.work(Worker(self.bus, consumer, registration.handler, service=registration.service, slots=registration.slots))
        for run in (*self._background, self._reporter.run):
            self._tasks.append(self._watched(run()))
        gc.collect()
        gc.freeze()  # what was made at the start stays: the collector need not walk it between messages
        gc.set_threshold(GC_OBJECTS, 20, 20)
        self.ready.set()
        log.info("ready", consumers=[registration.durable for registration in self._registered])

    async def work(self, worker: Worker) -> None:
        """Start a worker; it is drained with all others. One of a lane that can wait gives way while the loop is late."""
        if worker.consumer.durable.endswith(PATIENT_LANES):
            worker.patience = Patience(worker.slots)
            self._patient.append(worker.patience)
        self.workers.append(worker)
        await worker.start()

    def release(self, worker: Worker) -> None:
        """Forget a worker that drains in its own time."""
        self.workers.remove(worker)
        self._patient = [patience for patience in self._patient if patience is not worker.patience]

    async def _check(self, durable: str) -> None:
        """A durable that differs from its declaration is an error with a fix, not silence. A cluster that is electing is waited for."""
        while True:
            try:
                lines = await drift_of(self.bus, consumers(self.bus.subjects.root)[durable])
                break
            except nats.errors.Error as error:
                log.warning("bus_does_not_answer", consumer=durable, error=str(error))
                await asyncio.sleep(1)
        if lines:
            raise Drifted("; ".join(lines) + ": run 'headrace doctor --apply' against this server")

    def _watched(self, work: Awaitable[None]) -> asyncio.Task[None]:
        async def run() -> None:
            await work

        task = asyncio.create_task(run())
        task.add_done_callback(self._end_on_fault)
        return task

    def _end_on_fault(self, task: asyncio.Task[None]) -> None:
        """Background work never ends by itself: a fault ends the process."""
        if task.cancelled() or (fault := task.exception()) is None:
            return
        self.fault = str(fault) if isinstance(fault, Drifted) else f"background work failed: {in_a_line(fault)}"
        log.error("background_failed", error=self.fault, exc_info=fault)
        os.kill(os.getpid(), signal.SIGTERM)

    async def _stop(self) -> None:
        self.stopping = True
        if self._starting is not None:
            self._starting.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*(worker.stop(GRACE_S) for worker in self.workers))
        for close in reversed(self._on_stop):
            await close()
        await self.bus.close()
        shutdown_tracing()
        await asyncio.to_thread(shutdown_metrics)
        flush_logs()


def slots_of(durable: str) -> int:
    """Messages at once for a durable, by the lane that ends its name."""
    return PATIENT_SLOTS if durable.endswith(PATIENT_LANES) else DEFAULT_SLOTS


def serve(service: str, build: Callable[[Application, Settings], None], settings: Callable[[], Settings]) -> None:
    """Run one service alone: `python -m services.<name> [--nats URL]` (else HEADRACE_NATS)."""
    parser = argparse.ArgumentParser(prog=f"python -m services.{service}")
    parser.add_argument("--nats", default=os.environ.get("HEADRACE_NATS", "nats://127.0.0.1:4222"))
    parser.add_argument("--creds", default=os.environ.get("HEADRACE_CREDS"))
    parser.add_argument("--tls-ca", default=os.environ.get("HEADRACE_TLS_CA"))
    parser.add_argument("--tls-cert", default=os.environ.get("HEADRACE_TLS_CERT"))
    parser.add_argument("--tls-key", default=os.environ.get("HEADRACE_TLS_KEY"))
    options = parser.parse_args()
    configure_logs(service, os.environ.get("HEADRACE_LOG_LEVEL", "INFO"))
    log_everything()
    configure_tracing(service)
    configure_metrics(service, scraped=bool(os.environ.get(PORT)))

    async def main() -> None:
        files = {"creds": options.creds, "tls_ca": options.tls_ca, "tls_cert": options.tls_cert, "tls_key": options.tls_key}
        try:
            bus = Bus(options.nats, name=f"headrace-{service}", **files)
        except (BadAccess, OSError) as error:
            raise SystemExit(f"headrace: {error}") from error
        application = Application(bus)
        build(application, settings())
        try:
            async with probes(application):
                await application.run()
        except BadPort as error:
            raise SystemExit(f"headrace: {error}") from error

    uvloop.run(main())
