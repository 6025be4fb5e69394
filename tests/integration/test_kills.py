"""A service dies at each point of a call's way; no request is lost, and no call is dialled twice.

Where no kill can be timed from outside, the test leaves on the bus exactly what the dead process would have left.
"""

import asyncio
import json
import signal
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from nats.aio.msg import Msg

from tests.integration.conftest import own_stack
from tests.support.client import Outsider
from tests.support.processes import eventually
from tests.support.stack import Begun, Stack

pytestmark = pytest.mark.timeout(240)


@dataclass
class Story:
    """What was left when all had come to rest."""

    results: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    calls: list[Begun] = field(default_factory=list)
    ledger: dict[str, tuple[str, int, int, int]] = field(default_factory=dict)
    last_sequence: int = 0

    def outcomes(self, request_id: str) -> list[str]:
        [result] = self.results[f"acme/{request_id}"]
        assert result["status"] == "succeeded"
        return [attempt["outcome"] for attempt in result["attempts"]]

    def dialled(self, request_id: str) -> list[str]:
        return [call.call_id.rpartition("/")[2] for call in self.calls if call.call_id.split("/")[1] == request_id]


async def take(outsider: Outsider, stream: str, durable: str, count: int) -> dict[str, Msg]:
    """Pull messages as a service that is about to die: delivered once, never acknowledged. By request id."""
    puller = await outsider.js.pull_subscribe_bind(durable, stream)
    taken: dict[str, Msg] = {}
    while len(taken) < count:
        for message in await puller.fetch(count - len(taken), timeout=10):
            taken[message.subject.split(".")[-2]] = message
    return taken


async def lent(outsider: Outsider, durable: str, calls: int) -> bool:
    """Whether a consumer may have so many calls in hand: it begins with one."""
    return ((await outsider.js.consumer_info("CALLS", durable)).config.max_ack_pending or 0) >= calls


async def begin(outsider: Outsider, call: Msg) -> None:
    """The journal entry of an adapter that dies right after it."""
    tenant, request_id, n = call.subject.split(".")[-3:]
    entry = {"call_seq": call.metadata.sequence.stream, "delivery": 1, "writer": "adapter", "begun_at": datetime.now(UTC).isoformat()}
    await outsider.js.publish(f"llm.v1.begun.{tenant}.{request_id}.{n}", json.dumps(entry).encode())


async def answer(outsider: Outsider, call: Msg) -> None:
    """The attempt of an adapter that dies before its ack."""
    tenant, request_id, n = call.subject.split(".")[-3:]
    body = json.loads(call.data)
    usage = {"input_tokens": 5, "output_tokens": 1, "cache_read_tokens": 0, "cache_write_tokens": 0}
    summary = {"n": 1, "provider": "fake", "model": "small", "outcome": "answered", "finish_reason": "stop", "usage": usage, "cost_usd": "0.000007"}
    message = {"role": "assistant", "parts": [{"type": "text", "content": "from the dead"}]}
    facts = {"message": message, "call_seq": call.metadata.sequence.stream, "occurred_at": datetime.now(UTC).isoformat(), "cost_basis": "usage"}
    attempt = {"origin": body["origin"], "slip": body["slip"], "summary": summary, **facts}
    await outsider.js.publish(f"llm.v1.attempt.answered.standard.{tenant}.{request_id}.{n}", json.dumps(attempt).encode())


async def settle(outsider: Outsider, attempt: Msg) -> None:
    """The result of a validator that dies before its ack."""
    tenant, request_id = attempt.subject.split(".")[-3:-1]
    origin = json.loads(attempt.data)["origin"]
    kept = {name: origin[name] for name in ("request_id", "tenant", "kind", "request_seq", "request_sha256")}
    result = {**kept, "status": "succeeded", "attempts": [json.loads(attempt.data)["summary"]], "finished_at": datetime.now(UTC).isoformat()}
    await outsider.js.publish(f"llm.v1.settle.{tenant}.{request_id}", json.dumps(result).encode())


async def live(folder: Path) -> Story:
    """All kills at the same time: each waits two or three `ack_wait`."""
    async with own_stack(folder) as (stack, outsider):
        await outsider.answer("warm")
        await eventually(lambda: lent(outsider, "adapter-fake-standard", 3), 30)
        stack.services["adapters-1"].stop()
        for request_id in ("before-journal", "before-dial", "before-ack"):
            await outsider.ask(request_id)
        calls = await take(outsider, "CALLS", "adapter-fake-standard", 3)
        await begin(outsider, calls["before-dial"])
        await begin(outsider, calls["before-ack"])
        await answer(outsider, calls["before-ack"])
        await killed_in_mid_call(stack, outsider)
        await killed_after_the_result(stack, outsider)
        await declared_lost(stack, outsider)
        ids = ("before-journal", "before-dial", "before-ack", "mid-call", "after-result", "declared-lost")
        await asyncio.gather(*(outsider.result(request_id, within_s=90) for request_id in ids))
        await eventually(lambda: outsider.subjects("ATTEMPTS", "llm.v1.attempt.late.>"), 30, what="the late answer")
        await asyncio.gather(
            outsider.idle("meter", "ATTEMPTS"), outsider.idle("validator-standard", "ATTEMPTS"), outsider.idle("router-failed-standard", "ATTEMPTS")
        )
        await eventually(lambda: _none_left(outsider), 60, 0.5, what="an empty CALLS")
        return Story(outsider.heard, stack.calls(), ledger(stack), await outsider.last_sequence("RESULTS"))


async def killed_in_mid_call(stack: Stack, outsider: Outsider) -> None:
    stack.start("adapters-1")
    await stack.ready("adapters-1")
    await outsider.ask("mid-call", "[[delay 3]]")
    await eventually(lambda: stack.calls("mid-call"))
    stack.kill("adapters-1")
    stack.start("adapters-1")


async def killed_after_the_result(stack: Stack, outsider: Outsider) -> None:
    stack.services["validator-1"].stop()
    await outsider.ask("after-result")
    attempts = await take(outsider, "ATTEMPTS", "validator-standard", 1)
    while "after-result" not in attempts:
        attempts = await take(outsider, "ATTEMPTS", "validator-standard", 1)
    await settle(outsider, attempts["after-result"])
    stack.start("validator-1")


async def declared_lost(stack: Stack, outsider: Outsider) -> None:
    """An adapter sleeps in mid-call until another has declared it lost and answered; then it wakes and finishes."""
    await outsider.ask("declared-lost", "[[delay 2]]")
    await eventually(lambda: stack.calls("declared-lost"), 60)
    stack.send(signal.SIGSTOP, "adapters-1")
    stack.start("adapters-2")
    await outsider.result("declared-lost", within_s=90)
    stack.send(signal.SIGCONT, "adapters-1")


async def _none_left(outsider: Outsider) -> bool:
    return await outsider.messages("CALLS") == 0


def ledger(stack: Stack) -> dict[str, tuple[str, int, int, int]]:
    """Outcome, input and output tokens, and how many rows, by call id."""
    connection = sqlite3.connect(f"file:{stack.ledger}?mode=ro", uri=True)
    rows = connection.execute("SELECT call_id, outcome, input_tokens, output_tokens FROM calls").fetchall()
    connection.close()
    ids = [row[0] for row in rows]
    return {row[0]: (row[1], row[2], row[3], ids.count(row[0])) for row in rows}


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    yield asyncio.run(live(tmp_path_factory.mktemp("kills")))


def test_every_request_has_one_result(story: Story) -> None:
    assert all(len(results) == 1 for results in story.results.values())
    assert story.last_sequence == len(story.results)


def test_a_call_whose_adapter_died_before_the_journal_write_is_dialled_once(story: Story) -> None:
    assert story.outcomes("before-journal") == ["answered"]
    assert story.dialled("before-journal") == ["1"]


def test_a_call_whose_adapter_died_between_journal_and_dial_is_unknown_and_never_dialled(story: Story) -> None:
    assert story.outcomes("before-dial") == ["outcome_unknown", "answered"]
    assert story.dialled("before-dial") == ["2"]


def test_a_call_whose_adapter_died_in_mid_call_is_unknown_and_asked_again_under_the_next_number(story: Story) -> None:
    assert story.outcomes("mid-call") == ["outcome_unknown", "answered"]
    assert story.dialled("mid-call") == ["1", "2"]


def test_a_call_whose_adapter_died_between_attempt_and_ack_is_not_dialled(story: Story) -> None:
    assert story.outcomes("before-ack") == ["answered"]
    assert story.dialled("before-ack") == []


def test_a_validator_that_died_between_result_and_ack_leaves_one_result(story: Story) -> None:
    assert story.outcomes("after-result") == ["answered"]
    assert story.dialled("after-result") == ["1"]


def test_a_late_answer_replaces_the_estimate_in_the_ledger(story: Story) -> None:
    assert story.outcomes("declared-lost") == ["outcome_unknown", "answered"]
    assert story.dialled("declared-lost") == ["1", "2"]
    first = next(call for call in story.calls if call.call_id == "acme/declared-lost/1")
    _, input_tokens, output_tokens, rows = story.ledger["acme/declared-lost/1"]
    assert (input_tokens, output_tokens, rows) == (first.input_tokens, first.output_tokens, 1)
