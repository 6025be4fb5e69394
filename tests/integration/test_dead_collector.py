"""A collector that is away, or takes and never answers, slows nothing, stops nothing, and is told of once in a while."""

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.conftest import own_stack

pytestmark = pytest.mark.timeout(180)

SAMPLED = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
REQUESTS = 40
ENDS_WITHIN_S = 15.0


@asynccontextmanager
async def away() -> AsyncIterator[int]:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    yield port


@asynccontextmanager
async def silent() -> AsyncIterator[int]:
    """A server that takes whatever comes and never answers."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1 << 16):
            pass
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_a_dead_collector_stops_nothing(tmp_path: Path) -> None:
    """Each service has a dead collector of another kind."""
    async with away() as nobody, silent() as mute, own_stack(tmp_path, services=(), environment={"OTEL_SDK_DISABLED": "false"}) as (stack, outsider):
        dead = {"router": (mute, "http/protobuf"), "adapters": (nobody, "http/protobuf"), "validator": (nobody, "grpc"), "meter": (mute, "http/protobuf")}
        for service, (port, protocol) in dead.items():
            sending = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
            stack.start(f"{service}-1", {**sending, "OTEL_METRICS_EXPORTER": "none", "OTEL_BSP_SCHEDULE_DELAY": "100"})
        await asyncio.gather(*(stack.ready(name) for name in stack.services))
        for number in range(REQUESTS):
            await outsider.request({"id": f"r{number}", "messages": [{"role": "user", "content": "Hi"}]}, headers=SAMPLED)
        results = [await outsider.result(f"r{number}", within_s=60) for number in range(REQUESTS)]
        assert {result["status"] for result in results} == {"succeeded"}
        await asyncio.sleep(1.5)  # many exporters' delays: each could complain once
        began = time.monotonic()
        stack.send(signal.SIGTERM, *stack.services)
        codes = await asyncio.gather(*(asyncio.to_thread(service.process.wait, 60) for service in stack.services.values()))
        assert codes == [0, 0, 0, 0]
        assert time.monotonic() - began < ENDS_WITHIN_S
        for name, program in stack.services.items():
            complaints = program.text().count('"event":"telemetry_suffers"')
            assert complaints <= 4, f"{name}: each kind of complaint once a minute"
            assert complaints or '"event":"spans_lost"' in program.text(), f"{name}: nothing fails in silence"
