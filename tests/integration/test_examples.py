"""The examples in other languages, against the whole of Headrace: they are killed, started again, and send nothing twice."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import Outsider
from tests.support.node import node, program
from tests.support.processes import ROOT, eventually
from tests.support.stack import Stack

pytestmark = pytest.mark.timeout(400)
EXAMPLES = ROOT / "examples"
WORDS = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
SLOW = f"[[pace 0.15]] [[text {WORDS}]] count"


class Example:
    """One of the example programs, in a folder of its own; each run's output is in files."""

    def __init__(self, command: list[str], folder: Path, server: str) -> None:
        self.command, self.folder = command, folder
        self.awaited = folder / "awaited.json"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HEADRACE_NATS": server,
            "HEADRACE_TENANT": "acme",
            "HEADRACE_AWAITED": str(self.awaited),
            "HEADRACE_SCHEMA": str(ROOT / "contracts" / "schemas" / "request.chat.v1.json"),
        }
        self.runs = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        self.runs += 1
        with self._file("out").open("wb") as out, self._file("err").open("wb") as err:
            self.process = subprocess.Popen(
                [*self.command, *arguments], stdout=out, stderr=err, stdin=subprocess.DEVNULL, cwd=self.folder, env=self.environment
            )

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    async def end(self, within_s: float = 40) -> int:
        """Its exit code."""
        process = self.process
        assert process is not None
        await eventually(lambda: process.poll() is not None, within_s, what=f"the end of {self.command[-1]}")
        return process.returncode

    @property
    def said(self) -> str:
        return self._file("out").read_text()

    @property
    def facts(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._file("err").read_text().splitlines() if line.startswith("{")]

    @property
    def complaint(self) -> str:
        return self._file("err").read_text()

    def noted(self) -> dict[str, Any]:
        return dict(json.loads(self.awaited.read_text())) if self.awaited.exists() else {}

    def _file(self, kind: str) -> Path:
        return self.folder / f"example-{self.runs}.{kind}"


@pytest.fixture(params=["javascript", "python"])
def example(request: pytest.FixtureRequest, stack: Stack, tmp_path: Path) -> Iterator[Example]:
    if request.param == "javascript":
        folder = program(EXAMPLES / "javascript", tmp_path)
        command = [node(), str(folder / "ask.mjs")]
    else:
        folder = Path(shutil.copytree(EXAMPLES / "python", tmp_path / "python", ignore=shutil.ignore_patterns("__pycache__")))
        command = [sys.executable, str(folder / "ask.py")]
    own = Example(command, folder, stack.server.url)
    yield own
    own.kill()


async def test_a_request_without_an_id_is_known_by_its_publish_ack(example: Example, stack: Stack) -> None:
    async with Outsider(stack.server.url) as outsider:
        before = await outsider.last_sequence("REQUESTS")
        example.start("plain", f"[[text Paris]] {example.folder.name}")
        assert await example.end() == 0, example.complaint
        assert example.said == "Paris\n"
        assert example.facts[0] == {"sent": f"seq-{before + 1}"}
        assert example.facts[-1]["status"] == "succeeded"
        assert example.noted() == {}


async def test_a_tool_call_is_answered_in_the_next_turn(example: Example, stack: Stack) -> None:
    example.start("tools", '[[tool weather {"city": "Oslo"}]] Is it warm?')
    assert await example.end() == 0, example.complaint
    calls = [fact["tool_call"] for fact in example.facts if "tool_call" in fact]
    assert [(call["name"], call["arguments"]) for call in calls] == [("weather", {"city": "Oslo"})]
    assert "The tool said" in example.said
    assert '"sky":"clear"' in example.said.replace(" ", "")
    sent = [fact["sent"] for fact in example.facts if "sent" in fact]
    assert [len(stack.calls(request_id)) for request_id in sent] == [1, 1]


async def test_a_streamed_answer_is_complete_though_the_program_was_killed_in_the_middle(example: Example, stack: Stack) -> None:
    async with Outsider(stack.server.url) as outsider:
        example.start("stream", SLOW)
        await eventually(lambda: "two" in example.said, 30, what="the first pieces")
        example.kill()
        assert "sixteen" not in example.said
        [request_id] = example.noted()
        published = await outsider.last_sequence("REQUESTS")
        example.start("resume")
        assert await example.end() == 0, example.complaint
        assert example.said == f"{WORDS}\n"
        assert [fact for fact in example.facts if "sent" in fact] == []
        assert await outsider.last_sequence("REQUESTS") == published
        assert len(stack.calls(request_id)) == 1
        assert example.noted() == {}


async def test_pieces_that_came_while_the_program_was_dead_are_shown_before_the_result_is_there(example: Example, stack: Stack) -> None:
    async with Outsider(stack.server.url) as outsider:
        example.start("stream", f"[[pace 1]] [[text {WORDS}]] {example.folder.name}")
        await eventually(lambda: "one" in example.said, 30, what="the first pieces")
        example.kill()
        [request_id] = example.noted()
        example.start("resume")
        await eventually(lambda: example.said.startswith("one two"), 15, what="the pieces from the stream and those after them")
        await outsider.cancel(request_id)
        assert await example.end() == 1
        assert example.facts[-1]["status"] == "cancelled"


async def test_a_result_that_came_while_the_program_was_dead_is_read_from_the_stream(example: Example, stack: Stack) -> None:
    async with Outsider(stack.server.url) as outsider:
        example.start("plain", "[[delay 1]] [[text Late]] " + example.folder.name)
        [request_id] = await eventually(example.noted, 30)
        example.kill()
        await outsider.result(request_id)
        published = await outsider.last_sequence("REQUESTS")
        example.start("resume")
        assert await example.end() == 0, example.complaint
        assert (example.said, await outsider.last_sequence("REQUESTS")) == ("Late\n", published)
        assert len(stack.calls(request_id)) == 1


async def test_what_may_never_have_been_sent_is_sent_again_under_its_id_and_answered_once(example: Example, stack: Stack) -> None:
    async with Outsider(stack.server.url) as outsider:
        request = {"id": f"unsure-{example.folder.name}", "messages": [{"role": "user", "content": "[[text Sure]] unsure"}]}
        await outsider.request(request, lane="interactive")
        example.awaited.write_text(json.dumps({request["id"]: {"request": request, "sent": False}}))
        example.start("resume")
        assert await example.end() == 0, example.complaint
        assert example.said == "Sure\n"
        await outsider.idle("router-interactive", "REQUESTS")
        assert len(stack.calls(str(request["id"]))) == 1


async def test_what_the_schema_forbids_is_never_sent(example: Example, stack: Stack) -> None:
    async with Outsider(stack.server.url) as outsider:
        before = await outsider.last_sequence("REQUESTS")
        example.start("--temperature", "9", "plain", "Too hot")
        assert await example.end() == 1
        assert "temperature" in example.complaint
        assert await outsider.last_sequence("REQUESTS") == before


async def test_a_gap_in_the_deltas_is_filled_from_the_result(example: Example, stack: Stack) -> None:
    """Deltas that nobody kept: the stream is purged while the program is dead."""
    async with Outsider(stack.server.url) as outsider:
        example.start("stream", SLOW + " with a gap")
        await eventually(lambda: "two" in example.said, 30, what="the first pieces")
        example.kill()
        [request_id] = example.noted()
        await outsider.js.purge_stream("DELTAS", subject=f"llm.v1.delta.acme.{request_id}")
        example.start("resume")
        assert await example.end() == 0, example.complaint
        assert example.said == f"{WORDS}\n"


async def test_pieces_of_a_call_that_broke_are_set_aside_for_those_of_the_next(example: Example, stack: Stack) -> None:
    example.start("stream", f"[[cut 3 x1]] [[text {WORDS}]] {example.folder.name}")
    assert await example.end() == 0, example.complaint
    shown, mark, rest = example.said.partition("\n[another call answers]\n")
    assert mark, example.said
    assert WORDS.startswith(shown)
    assert rest == f"{WORDS}\n"
