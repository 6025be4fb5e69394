"""Programs as processes of their own: started, watched through their output files, and killed by their ids."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


async def eventually(check: Callable[[], Any], within_s: float = 10.0, every_s: float = 0.05, what: str = "") -> Any:
    """Wait until `check` gives something true, and return it. Raises AssertionError with the last value."""
    deadline = time.monotonic() + within_s
    while True:
        value = check()
        if isinstance(value, Awaitable):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or getattr(check, '__name__', 'it')} did not come true within {within_s:g} s; last: {value!r}")
        await asyncio.sleep(every_s)


class Program:
    """One `python -m MODULE` of the packages in `root`, with its output in a file."""

    def __init__(self, module: str, arguments: list[str], output: Path, environment: Mapping[str, str], root: Path = ROOT) -> None:
        self.module, self.output = module, output
        self.ended = False
        with output.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdout=file,
                stderr=file,
                stdin=subprocess.DEVNULL,
                cwd=root,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and reap."""
        self.process.kill()
        self.process.wait()

    def stop(self, timeout_s: float = 12.0) -> None:
        """SIGTERM (a stopped process is woken first); SIGKILL when that is not heard."""
        if not self.alive:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()

    async def says(self, word: str, within_s: float = 60.0) -> str:
        """Wait for a word in the output. Raises AssertionError with the end of the output when it ends or says nothing."""

        def said() -> str | None:
            text = self.text()
            if not self.alive:
                raise AssertionError(f"{self.module} ended with {self.process.returncode}; its last words:\n{text[-3000:]}")
            return text if word in text else None

        try:
            return await eventually(said, within_s) or ""
        except AssertionError as error:
            raise AssertionError(f"{self.module} did not say {word!r} within {within_s:g} s; its last words:\n{self.text()[-3000:]}") from error
