"""`python -m cli.demo`: starts everything, sends the cases, checks each outcome; exit 0 only if all are as expected."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from bus.awaiting import NoResult
from bus.client import HeadraceClient
from bus.connection import Bus
from bus.server import free_port
from cli.demo.cases import CASES, CONFIGURATION, Case
from cli.demo.recorded import serve
from cli.show import console, escaped, why
from contracts.result import ResultV1
from observability.logs import configure_logs

START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 15.0
TRACED = "failover"


class Broken(Exception):
    """The demo cannot go on."""


def main() -> int:
    configure_logs("demo", "ERROR")
    signal.signal(signal.SIGTERM, _leave)
    began, folder = time.monotonic(), Path(tempfile.mkdtemp(prefix="headrace-demo-"))
    try:
        problems = asyncio.run(demo(folder))
    except Broken as error:
        problems = [str(error)]
    for problem in problems:
        print(f"UNEXPECTED {problem}", file=sys.stderr)
    if problems:
        print(f"logs are in {folder}", file=sys.stderr)
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    print(f"all {len(CASES)} outcomes as expected, {time.monotonic() - began:.0f} s")
    return 0


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(1)


async def demo(folder: Path) -> list[str]:
    """What was not as expected; empty when all was."""
    port = free_port()
    priced = await serve(port)
    up = await asyncio.to_thread(_start, folder, port)
    try:
        url = await asyncio.to_thread(_ready, up, folder)
        console().print(f"[bold]headrace up[/bold] is ready on {url}; {len(CASES)} requests follow")
        reader = await asyncio.create_subprocess_exec(sys.executable, "-m", "cli.demo.reader", url, TRACED, *(case.id for case in CASES))
        problems = await _ask_all(url)
        if await reader.wait() != 0:
            problems.append("the reader did not see every result")
        cost = await asyncio.create_subprocess_exec(sys.executable, "-m", "cli.main", "--nats", url, "cost")
        if await cost.wait() != 0:
            problems.append("'headrace cost' failed")
    finally:
        code = await asyncio.to_thread(_stop, up)
        await priced.cleanup()
    return problems + ([] if code == 0 else [f"'headrace up' ended with exit code {code}"])


def _start(folder: Path, priced_port: int) -> subprocess.Popen[bytes]:
    (folder / "headrace.yaml").write_text(CONFIGURATION)
    urls = {"DEMO_DEAD_URL": f"http://127.0.0.1:{free_port()}/v1", "DEMO_PRICED_URL": f"http://127.0.0.1:{priced_port}/v1", "DEMO_KEY": "demo"}
    arguments = ["up", "--config", str(folder / "headrace.yaml"), "--data-dir", str(folder / "data"), "--nats-port", "0"]
    with (folder / "up.out").open("wb") as out, (folder / "up.err").open("wb") as err:
        command = [sys.executable, "-m", "cli.main", *arguments]
        return subprocess.Popen(command, stdout=out, stderr=err, stdin=subprocess.DEVNULL, env={**os.environ, **urls})


def _ready(up: subprocess.Popen[bytes], folder: Path) -> str:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and up.poll() is None:
        for line in (folder / "up.out").read_text().splitlines():
            if line.startswith("ready "):
                return line.split()[1]
        time.sleep(0.1)
    raise Broken(f"'headrace up' did not become ready:\n{(folder / 'up.err').read_text()[-2000:]}")


def _stop(up: subprocess.Popen[bytes]) -> int:
    up.terminate()
    try:
        return up.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        up.kill()
        return up.wait()


async def _ask_all(url: str) -> list[str]:
    bus = Bus(url, name="headrace-demo")
    await bus.connect(timeout_s=10)
    client = HeadraceClient(bus)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_ask(client, case)) for case in CASES]
        return [problem for task in tasks if (problem := task.result()) is not None]
    finally:
        await bus.close()


async def _ask(client: HeadraceClient, case: Case) -> str | None:
    """Send one case; what was not as expected, or None."""
    request_id = await client.publish({"id": case.id, **case.body})
    try:
        if case.body.get("stream"):
            await _show(client, request_id)
        result = await client.result(request_id, 110)
    except NoResult as error:
        return f"{case.id}: {error}"
    if result.status == case.status and case.holds(result):
        console().print(f"  [green]{result.status:9}[/green] {case.id:10} {case.shows}")
        return None
    return f"{case.id} ({case.shows}): expected {case.status}, got {_described(result)}"


async def _show(client: HeadraceClient, request_id: str) -> None:
    """One line for each piece, as it arrives: other cases print between them."""
    async for delta in client.stream(request_id, 110):
        if delta.content:
            console().print(f"  [dim]{'…':9}[/dim] {request_id:10} [cyan]{escaped(delta.content.strip())}[/cyan]")


def _described(result: ResultV1) -> str:
    outcomes = ", ".join(f"{one.provider} {one.outcome}" for one in result.attempts)
    return f"{result.status} {why(result)} [{outcomes}]"


if __name__ == "__main__":
    sys.exit(main())
