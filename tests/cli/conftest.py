"""`headrace up` as a process with one priced provider that answers a recorded body, and the command line beside it."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bus.server import free_port
from cli.demo.recorded import TEXT, serve
from tests.support import canaries

CONFIGURATION = """\
version: 2
providers:
  - {id: priced, type: openai, base_url: 'http://127.0.0.1:PORT/v1', api_key: '${CLI_TEST_KEY}', models: [{id: gpt-4o-mini}]}
routes:
  default: {candidates: [priced/gpt-4o-mini]}
"""
Headrace = Callable[..., "subprocess.CompletedProcess[str]"]


def headrace(*arguments: str, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "cli.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, input=stdin)
    canaries.said(arguments[0], done.stderr)
    return done


@dataclass
class Running:
    url: str
    process: "subprocess.Popen[bytes]"
    config: Path


@pytest.fixture(scope="module")
def provider() -> Iterator[int]:
    """The port of the recorded provider."""
    port, loop, listening = free_port(), asyncio.new_event_loop(), threading.Event()

    async def run() -> None:
        runner = await serve(port)
        listening.set()
        try:
            await stop.wait()
        finally:
            await runner.cleanup()

    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    assert listening.wait(10)
    canaries.saw("answer", TEXT)
    canaries.saw("prompt", "What is NATS?")
    yield port
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    loop.close()


@pytest.fixture(scope="module")
def up(provider: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("up")
    config = folder / "headrace.yaml"
    config.write_text(CONFIGURATION.replace("PORT", str(provider)))
    out = folder / "up.out"
    command = [sys.executable, "-m", "cli.main", "up", "--config", str(config), "--data-dir", str(folder / "data"), "--nats-port", "0"]
    with out.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **canaries.telemetry(), "CLI_TEST_KEY": canaries.KEY})
    try:
        yield Running(_ready(process, out), process, config)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def _ready(process: "subprocess.Popen[bytes]", out: Path) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        for line in out.read_text().splitlines():
            if line.startswith("ready "):
                return line.split()[1]
        time.sleep(0.05)
    raise AssertionError(out.read_text())
