"""`headrace watch` beside a running pipeline: its numbers are those of the traffic, and it ends well."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import own_stack
from tests.support.client import Outsider
from tests.support.processes import ROOT, Program, eventually
from tests.support.stack import Stack

FAILED = "[[status 400]] no"


class Watching:
    """`headrace watch --json` with its lines in a file."""

    def __init__(self, url: str, output: Path, *options: str) -> None:
        self.program = Program("cli.main", ["watch", "--json", "--interval", "0.3", "--nats", url, *options], output, {})

    def lines(self) -> list[dict[str, Any]]:
        text = self.program.text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    async def sees(self, within_s: float = 60.0, **expected: Any) -> dict[str, Any]:
        """The first line of the latest ones in which all that is named has these values; names as paths, with `__` for a step."""

        def last() -> dict[str, Any] | None:
            lines = self.lines()
            return lines[-1] if lines and all(at(lines[-1], path) == value for path, value in expected.items()) else None

        try:
            found: dict[str, Any] = await eventually(last, within_s)
        except AssertionError as error:
            raise AssertionError(f"{expected} was not seen; last: {self.program.text()[-3000:]}") from error
        return found

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.program.send(number)
        return self.program.process.wait(30)


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[Callable[..., Watching]]:
    """Begins one with its server and options; a test that fails leaves none behind."""
    all_begun: list[Watching] = []

    def begin(url: str, *options: str) -> Watching:
        all_begun.append(Watching(url, tmp_path / f"watch-{len(all_begun)}.out", *options))
        return all_begun[-1]

    yield begin
    for watching in all_begun:
        watching.program.stop()


def at(line: dict[str, Any], path: str) -> Any:
    found: Any = line
    for step in path.split("__"):
        found = found.get(step) if isinstance(found, dict) else None
    return found


async def test_its_numbers_are_those_of_the_traffic(stack: Stack, begun: Callable[..., Watching]) -> None:
    watching, only_beta = begun(stack.url), begun(stack.url, "--tenant", "beta")
    async with Outsider(stack.url) as outsider:
        await watching.sees(server__ok=True)
        await only_beta.sees(server__ok=True)
        for number in range(6):
            await outsider.ask(f"watch-i{number}", f"Question {number}", lane="interactive")
        for number in range(4):
            await outsider.ask(f"watch-s{number}", f"Question {number}", tenant="beta")
        for number in range(2):
            await outsider.ask(f"watch-b{number}", FAILED, lane="bulk")
        await outsider.ask("watch-i0", "Another question under the same id", lane="interactive")
        await outsider.request(b"\xff", lane="standard")
        results = [await outsider.result(f"watch-i{number}") for number in range(6)] + [
            await outsider.result(f"watch-s{number}", "beta") for number in range(4)
        ]
        for number in range(2):
            await outsider.result(f"watch-b{number}")
        spent = {tenant: sum(Decimal(one["cost_usd"]) for one in results if one["tenant"] == tenant) for tenant in ("acme", "beta")}
        seen = await watching.sees(
            lanes__interactive__results={"succeeded": 6},
            lanes__bulk__results={"failed": 2},
            lanes__standard__waiting=0,
            providers__fake__attempts={"answered": 10, "invalid_request": 2},
            tenants__acme__minute_usd=f"{spent['acme']:f}",
            dead_letters__by_service={"router": 1},
            today_unknown=None,
        )
        assert seen["lanes"]["standard"]["results"]["succeeded"] == 4
        assert seen["providers"]["fake"]["errors"] == {"invalid_request": 2}
        assert seen["dead_letters"]["last"]["service"] == "router"
        assert "conflict" in [notice["kind"] for notice in seen["notices"]]
        times = sorted(one["duration_s"] for one in results[:6])
        assert times[0] <= seen["lanes"]["interactive"]["p50_s"] <= seen["lanes"]["interactive"]["p95_s"]
        ledger = await watching.sees(tenants__beta__today_usd=f"{spent['beta'].normalize():f}" if spent["beta"] else "0")
        assert Decimal(ledger["tenants"]["acme"]["today_usd"]) == spent["acme"]
        theirs = await only_beta.sees(lanes__standard__results={"succeeded": 4}, tenants__beta__minute_usd=f"{spent['beta']:f}")
        assert theirs["lanes"]["interactive"]["results"] == {}
        assert theirs["dead_letters"]["count"] == 0
    assert (watching.end(signal.SIGTERM), only_beta.end(signal.SIGINT)) == (0, 0)


async def test_a_queue_is_shown_with_the_age_of_its_oldest(tmp_path: Path, begun: Callable[..., Watching]) -> None:
    async with own_stack(tmp_path) as (stack, outsider):
        watching = begun(stack.url)
        await watching.sees(server__ok=True)
        stack.kill("adapters-1")
        for number in range(5):
            await outsider.ask(f"queued-{number}", "[[delay 3]] slow", lane="bulk")
        await watching.sees(lanes__bulk__calls=5, lanes__bulk__waiting=5, lanes__bulk__in_flight=0, providers__fake__waiting=5)
        await eventually(lambda: (watching.lines()[-1]["lanes"]["bulk"]["oldest_s"] or 0) > 2, 30)
        stack.start("adapters-1")
        await watching.sees(lanes__bulk__in_flight=5, providers__fake__in_flight=5, lanes__bulk__waiting=0)
        await watching.sees(lanes__bulk__results={"succeeded": 5}, lanes__bulk__oldest_s=None, providers__fake__in_flight=0)

        stack.kill_server()
        away = await watching.sees(server__ok=False)
        assert "lanes" not in away
        assert "away" in away["server"]["problem"]
        await stack.restart_server()
        await watching.sees(server__ok=True, lanes__bulk__results={"succeeded": 5})
        outsider_again = await outsider.answer("after", within_s=60)
        assert outsider_again["status"] == "succeeded"
        await watching.sees(lanes__standard__results={"succeeded": 1})
        assert watching.end() == 0


class Terminal:
    """A command on a pseudo-terminal of a given size; what it wrote, as frames without their colours."""

    def __init__(self, columns: int, rows: int, *arguments: str) -> None:
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")} | {"TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cli.main", *arguments], stdin=follower, stdout=follower, stderr=follower, cwd=ROOT, env=environment, start_new_session=True
        )
        os.close(follower)
        self._leader, self._written = leader, b""
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._leader, 65536)
            except OSError:  # the last writer left
                return
            if not data:
                return
            self._written += data

    @property
    def text(self) -> str:
        return self._written.decode(errors="replace")

    def frames(self) -> list[list[str]]:
        return [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", frame).rstrip("\r\n").split("\r\n") for frame in self.text.split("\x1b[H")[1:]]

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        code = self.process.wait(30)
        self._reading.join(10)
        os.close(self._leader)
        return code


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (160, 45)])
async def test_the_screen_fits_the_terminal_and_leaves_it_as_it_was(stack: Stack, columns: int, rows: int) -> None:
    terminal = Terminal(columns, rows, "watch", "--interval", "0.3", "--nats", stack.url)
    frames = await eventually(lambda: found if len(found := terminal.frames()) > 3 else None, 60)
    code = terminal.end(signal.SIGINT)
    frame = frames[2]
    assert code == 0, terminal.text[-2000:]
    assert len(frame) <= rows
    assert max(map(len, frame)) <= columns
    assert [row.split()[0] for row in frame[2:6]] == ["interactive", "standard", "bulk", "batch"]
    fake = next(row for row in frame if row.startswith("fake"))
    assert "0/400" in fake
    assert "ended since the start" in frame[1] or columns < 110
    assert "Traceback" not in terminal.text
    assert terminal.text.index("\x1b[?1049h") < terminal.text.rindex("\x1b[?1049l"), "the alternate screen is left again"


def test_without_a_terminal_it_prints_plain_lines_and_once_ends_by_itself(stack: Stack) -> None:
    command = [sys.executable, "-m", "cli.main", "watch", "--once", "--interval", "0.2", "--nats", stack.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"\d\d:\d\d:\d\d  .*fake: \w+, \d+/400 in flight.*dead letters\n", done.stdout)


def test_a_reader_that_has_seen_enough_ends_it(stack: Stack) -> None:
    command = f"{sys.executable} -m cli.main watch --json --interval 0.2 --nats {stack.url} | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    first, code = done.stdout.splitlines()
    assert json.loads(first)["server"]["ok"] is True
    assert (code, done.stderr) == ("0", "")
