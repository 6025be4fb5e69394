"""The four things that are compared, each started fresh for a round: floor and pipeline, with and without an HTTP call."""

import asyncio
from pathlib import Path
from typing import Any, Protocol

import nats
from nats.aio.msg import Msg

from bench import floor
from bench.lean import LeanConsumer, LeanPublisher
from bench.payload import document
from bus.connection import Bus
from bus.wire import Incoming
from tests.support.processes import Program
from tests.support.stack import READY, SERVICES, Stack

FLOOR_PROCESSES = ("router-1", "adapters-1", "adapters-2", "validator-1")
"""As many as the pipeline has: its meter's place is a second adapter, which is no burden to the floor."""


class Relay(Protocol):
    """Something that answers requests over a bus."""

    processes: dict[str, int]
    """Names and process ids of what does the work, server and provider included."""

    async def begin(self) -> None: ...

    async def ask(self, request_id: str) -> None:
        """Send one request and wait for its result."""

    async def end(self) -> None: ...


class Floor:
    """The relay of `bench.floor`."""

    def __init__(self, folder: Path, *, http: bool) -> None:
        self.stack, self._http = Stack(folder), http
        self.processes: dict[str, int] = {}
        self._waiting: dict[str, asyncio.Future[None]] = {}

    async def begin(self) -> None:
        await self.stack.start_servers()
        url = self.stack.url
        await floor.provision(url)
        if self._http:
            await self.stack.start_provider()
        provider = [self.stack.base_url] if self._http else []
        for name in FLOOR_PROCESSES:
            output = self.stack.folder / f"{name}.log"
            self.stack.services[name] = Program("bench.floor", [name.rpartition("-")[0], url, *provider], output, {})
        await asyncio.gather(*(program.says(READY) for program in self.stack.services.values()))
        self.processes = processes_of(self.stack)
        self._nc = await nats.connect(url)
        self._publisher = LeanPublisher(self._nc)
        await self._publisher.start()
        await LeanConsumer(self._nc, "RES", "driver", self._hear).start()

    async def ask(self, request_id: str) -> None:
        self._waiting[request_id] = answered = asyncio.get_running_loop().create_future()
        await self._publisher.publish(f"req.{request_id}", document(request_id), {"Nats-Msg-Id": request_id})
        await answered

    async def _hear(self, message: Msg) -> None:
        waiting = self._waiting.pop(message.subject[4:], None)
        if waiting is not None:
            waiting.set_result(None)
        await message.ack()

    async def end(self) -> None:
        await self._nc.close()
        await asyncio.to_thread(self.stack.end)


class Pipeline:
    """Headrace, as its services are run anywhere: contracts, journal and ledger on, tracing unsampled."""

    def __init__(self, folder: Path, *, http: bool, replicas: int = 1, copies: int = 1, environment: dict[str, str] | None = None, **stack: Any) -> None:
        """`replicas` of each service; `copies` of each stream."""
        modules = {} if http else {"adapters": "bench.inside"}
        self.stack = Stack(folder, modules=modules, environment=environment, replicas=copies, **stack)
        self._replicas = replicas
        self.processes: dict[str, int] = {}
        self._waiting: dict[str, asyncio.Future[None]] = {}

    async def begin(self) -> None:
        await self.stack.begin(self._replicas)
        self.processes = processes_of(self.stack)
        self.bus = Bus(self.stack.url, name="bench")
        await self.bus.connect(timeout_s=10)
        self._prefix = len(self.bus.subjects.result("acme", ""))
        await self.bus.nc.listen(self.bus.subjects.result("acme", "*"), self._hear)

    async def ask(self, request_id: str, lane: str = "standard") -> None:
        self._waiting[request_id] = answered = asyncio.get_running_loop().create_future()
        await self.bus.publish(self.bus.subjects.request("acme", "chat", lane), document(request_id))
        await answered

    def _hear(self, message: Incoming) -> None:
        waiting = self._waiting.pop(message.subject[self._prefix :], None)
        if waiting is not None:
            waiting.set_result(None)

    async def end(self) -> None:
        await self.bus.close()
        await asyncio.to_thread(self.stack.end)


def processes_of(stack: Stack) -> dict[str, int]:
    """Every process of a stack by its name."""
    found = {name: program.pid for name, program in stack.services.items()}
    if stack.server.process is not None:
        found["nats-server"] = stack.server.process.pid
    if stack.provider is not None:
        found["provider"] = stack.provider.pid
    return found


assert len(FLOOR_PROCESSES) == len(SERVICES)
