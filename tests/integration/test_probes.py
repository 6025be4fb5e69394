"""Liveness and readiness of a service, asked over HTTP while its server goes away, loses a consumer and comes back."""

import asyncio
import json
import signal
import urllib.error
import urllib.request
from pathlib import Path

import bus.probes
from bus.application import Application
from bus.configuration import push
from bus.connection import Bus
from bus.probes import probes
from bus.provision import provision
from bus.server import EmbeddedServer, free_port
from services.router.app import build
from services.router.settings import RouterSettings
from tests.support.processes import eventually
from tests.support.stack import Stack, configuration

CONFIGURATION = json.dumps(configuration("http://127.0.0.1:9/v1"))


def ask(port: int, path: str) -> tuple[int, str]:
    """Status and text; 0 where nothing answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


async def says(port: int, path: str, status: int, words: str, within_s: float = 15) -> None:
    async def said() -> bool:
        answer = await asyncio.to_thread(ask, port, path)
        return answer[0] == status and words in answer[1]

    await eventually(said, within_s, 0.2, what=f"{path} says {status} {words!r}; it says {await asyncio.to_thread(ask, port, path)}")


async def test_a_service_is_alive_from_its_start_and_ready_only_while_it_can_work(tmp_path: Path) -> None:
    stack, port = Stack(tmp_path), free_port()
    try:
        await stack.start_servers()
        program = stack.start("router-1", {bus.probes.PORT: str(port)})
        await says(port, "/livez", 200, "ok")
        await says(port, "/readyz", 503, "config push")
        operator = await stack.bus()
        await provision(operator)
        await push(operator, CONFIGURATION)
        await operator.close()
        await says(port, "/readyz", 200, "ok")
        stack.signal_server(signal.SIGSTOP)
        await says(port, "/readyz", 503, "NATS does not answer")
        await says(port, "/livez", 200, "ok")
        stack.signal_server(signal.SIGCONT)
        await says(port, "/readyz", 200, "ok", 30)
        assert "InvalidStateError" not in program.text(), "a question that came too late broke the connection"
        stack.kill_server()
        await says(port, "/readyz", 503, "not connected")
        await says(port, "/livez", 200, "ok")
        program.stop()
        assert program.process.returncode == 0
    finally:
        await asyncio.to_thread(stack.end)


async def test_a_service_whose_streams_are_gone_is_not_ready(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "nats")
    await asyncio.to_thread(server.start)
    own, port = Bus(server.url), free_port()
    application = Application(own)
    build(application, RouterSettings())
    bus.probes.SILENT_S, kept = 2.0, bus.probes.SILENT_S
    try:
        operator = Bus(server.url)
        await operator.connect(timeout_s=10)
        await provision(operator)
        await push(operator, CONFIGURATION)
        async with probes(application, str(port)):
            running = asyncio.create_task(application.app.run())
            await says(port, "/readyz", 200, "ok")
            await operator.nc.jetstream().delete_stream("VERDICTS")
            await says(port, "/readyz", 503, "['router-verdict']")
            await provision(operator)
            await says(port, "/readyz", 200, "ok")
            application.app.exit()
            await asyncio.wait_for(running, 20)
            assert ask(port, "/livez")[0] == 0 or (await asyncio.to_thread(ask, port, "/readyz"))[1] == "stopping\n"
        await operator.close()
    finally:
        bus.probes.SILENT_S = kept
        await asyncio.to_thread(server.stop)


async def test_a_background_fault_ends_liveness(tmp_path: Path) -> None:
    application, port = Application(Bus("nats://127.0.0.1:9")), free_port()
    async with probes(application, str(port)):
        assert await asyncio.to_thread(ask, port, "/livez") == (200, "ok\n")
        application.fault = "background work failed: OSError('no space')"
        assert await asyncio.to_thread(ask, port, "/livez") == (503, f"{application.fault}\n")


async def test_a_port_that_cannot_be_used_ends_the_service_with_its_name(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    try:
        program = stack.start("router-1", {bus.probes.PORT: "many"})
        await eventually(lambda: not program.alive, 20)
        assert program.process.returncode == 1
        assert "HEADRACE_PROBE_PORT is 'many'" in program.text()
    finally:
        await asyncio.to_thread(stack.end)
