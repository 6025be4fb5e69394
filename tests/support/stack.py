"""A whole Headrace: a real server, services as processes, a provider with a log, all on loopback and in one folder."""

import asyncio
import itertools
import json
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bus.configuration import push
from bus.connection import Bus
from bus.errors import Unavailable
from bus.provision import Sizing, provision
from bus.server import EmbeddedServer
from tests.support import canaries
from tests.support.cluster import Cluster
from tests.support.processes import ROOT, Program, eventually

SERVICES = ("router", "adapters", "validator", "meter")
READY = '"event":"ready"'


@dataclass(frozen=True)
class Begun:
    """A line of the provider's log."""

    call_id: str
    input_tokens: int
    output_tokens: int
    model: str
    at: float


def fake_provider(base_url: str, **fields: Any) -> dict[str, Any]:
    """A provider entry of the configuration, priced so that money appears."""
    price = {"input_mtok": "1", "output_mtok": "2"}
    models = [{"id": "small", "price": price}, {"id": "free"}, {"id": "embed", "dimensions": 8, "price": price}]
    return {
        "id": "fake",
        "type": "openai",
        "base_url": base_url,
        "api_key": "${FAKE_PROVIDER_KEY}",
        "max_in_flight": 400,
        "timeout_s": 60,
        "models": models,
        **fields,
    }


def configuration(base_url: str, **fields: Any) -> dict[str, Any]:
    """Tenants acme, beta and chaos, one provider `fake`, routes default and embedding."""
    return {
        "version": 2,
        "providers": [fake_provider(base_url)],
        "routes": {"default": {"candidates": ["fake/small"]}, "embedding": {"candidates": ["fake/embed"]}},
        "tenants": {"default": {}, "acme": {}, "beta": {}, "chaos": {}},
        **fields,
    }


class Stack:
    """Everything in `folder`. Services are started with `start` and addressed as `router-1`, `adapters-2` …"""

    def __init__(
        self,
        folder: Path,
        *,
        provider_delay_s: float = 0.0,
        environment: Mapping[str, str] | None = None,
        cluster: Cluster | None = None,
        replicas: int = 1,
        modules: Mapping[str, str] | None = None,
    ) -> None:
        """`modules`: another module than `services.<name>` for a service."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.provider_delay_s, self.cluster, self.replicas = folder, provider_delay_s, cluster, replicas
        self.server = EmbeddedServer(folder / "nats", log=folder / "nats-server.log")
        self.ledger = folder / "ledger.sqlite"
        self.provider_log = folder / "provider.jsonl"
        self.services: dict[str, Program] = {}
        self.base_url = ""
        self.provider: Program | None = None
        self._extra, self._modules = dict(environment or {}), dict(modules or {})
        self._numbers = itertools.count()

    @property
    def url(self) -> str:
        """Of the one server, or of all nodes."""
        return self.cluster.url if self.cluster else self.server.url

    def cluster_of(self) -> Cluster:
        """The cluster of a stack that has one."""
        if self.cluster is None:
            raise ValueError("this stack has one server and no cluster")
        return self.cluster

    @property
    def environment(self) -> dict[str, str]:
        own = {"HEADRACE_NATS": self.url, "HEADRACE_METER_LEDGER_URL": f"sqlite:///{self.ledger}", "FAKE_PROVIDER_KEY": canaries.KEY}
        own_collector = any(name.startswith("OTEL_") for name in self._extra)
        return {**own, **({} if own_collector else canaries.telemetry()), **self._extra}

    async def begin(self, replicas: int = 1, services: tuple[str, ...] = SERVICES, config: dict[str, Any] | None = None) -> None:
        """Server, provider, streams, configuration, then the services; returns when all of them are ready."""
        await self.start_servers()
        await self.start_provider()
        await self.begin_services(replicas, config or configuration(self.base_url), services)

    async def start_servers(self) -> None:
        """The one server, or all nodes of the cluster."""
        await asyncio.to_thread(self.cluster.start if self.cluster else self.server.start)

    async def begin_services(self, replicas: int, config: dict[str, Any], services: tuple[str, ...] = SERVICES) -> None:
        """Streams and configuration, then the services, until all are ready."""
        bus = await self.bus()
        try:
            await eventually(lambda: self._provisioned(bus), 30, what="JetStream, on a cluster that has just begun")
            await push(bus, json.dumps(config))
        finally:
            await bus.close()
        for service in services:
            for number in range(1, replicas + 1):
                self.start(f"{service}-{number}")
        await asyncio.gather(*(program.says(READY) for program in self.services.values()))

    async def _provisioned(self, bus: Bus) -> bool:
        try:
            await provision(bus, Sizing(self.replicas))
        except Unavailable:
            return False
        return True

    async def bus(self) -> Bus:
        """A connection for what operators do: provision, push."""
        bus = Bus(self.url, name="operator", **(self.cluster.files if self.cluster else {}))
        await bus.connect(timeout_s=10)
        return bus

    async def push(self, config: dict[str, Any]) -> None:
        bus = await self.bus()
        await push(bus, json.dumps(config))
        await bus.close()

    async def start_provider(self) -> None:
        arguments = ["--log", str(self.provider_log), "--delay", str(self.provider_delay_s)]
        self.provider = Program("tests.support.provider", arguments, self.folder / "provider.log", {})
        text = await self.provider.says('{"port"')
        self.base_url = f"http://127.0.0.1:{json.loads(text.splitlines()[-1])['port']}/v1"

    def start(self, name: str, environment: Mapping[str, str] | None = None, root: Path = ROOT) -> Program:
        """Start a service of the packages in `root`, or start it again. Does not wait."""
        service = name.rpartition("-")[0]
        module = self._modules.get(service, f"services.{service}")
        output = self.folder / f"{name}.{next(self._numbers)}.log"
        self.services[name] = Program(module, [], output, {**self.environment, **(environment or {})}, root)
        return self.services[name]

    async def ready(self, name: str) -> None:
        await self.services[name].says(READY)

    def kill(self, name: str) -> None:
        self.services[name].kill()

    def send(self, number: signal.Signals, *names: str) -> None:
        for name in names:
            self.services[name].send(number)

    def pause(self, *names: str) -> None:
        self.send(signal.SIGSTOP, *names)

    def resume(self, *names: str) -> None:
        self.send(signal.SIGCONT, *names)

    def kill_server(self) -> None:
        if self.server.process is not None:
            self.server.process.kill()
            self.server.process.wait()

    async def restart_server(self) -> None:
        await asyncio.to_thread(self.server.start)

    def signal_server(self, number: signal.Signals) -> None:
        if self.server.process is not None:
            self.server.process.send_signal(number)

    def calls(self, request_id: str | None = None) -> list[Begun]:
        """What the provider was asked, oldest first; of one request, whatever its tenant, where an id is given."""
        lines = self._log("begin")
        wanted = [line for line in lines if request_id is None or line["call_id"].split("/")[1] == request_id]
        return [Begun(line["call_id"], line["input_tokens"], line["output_tokens"], line["model"], line["at"]) for line in wanted]

    def open_calls(self) -> set[str]:
        """Calls that the provider is busy with."""
        return {line["call_id"] for line in self._log("begin")} - {line["call_id"] for line in self._log("end")}

    def _log(self, event: str) -> list[dict[str, Any]]:
        if not self.provider_log.exists():
            return []
        lines = [json.loads(line) for line in self.provider_log.read_text().splitlines()]
        return [line for line in lines if line["event"] == event]

    def end(self) -> None:
        """End all that was started."""
        programs = [*self.services.values(), *([self.provider] if self.provider else [])]
        for program in programs:
            if program.alive:
                program.send(signal.SIGCONT)
                program.send(signal.SIGTERM)
        deadline = time.monotonic() + 12
        for program in programs:
            program.stop(max(0.1, deadline - time.monotonic()))
        if self.cluster:
            self.cluster.stop()
            return
        self.signal_server(signal.SIGCONT)
        self.server.stop()
