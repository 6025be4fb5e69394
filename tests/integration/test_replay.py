"""Replays: requests asked again under another model, and dead letters by the thousand, once each whatever happens meanwhile."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bus.delivery import Delivery
from bus.errors import Reject
from bus.streams import consumers
from bus.worker import Worker
from tests.integration.conftest import own_stack
from tests.support.client import Outsider
from tests.support.processes import ROOT, Program, eventually
from tests.support.stack import Stack

pytestmark = pytest.mark.timeout(180)
LETTERS = 1000


async def headrace(stack: Stack, *arguments: str, tenant: str = "acme") -> tuple[int, Any]:
    """The command line's exit code and the JSON that it printed."""
    command = [sys.executable, "-m", "cli.main", *arguments, "--json", "--tenant", tenant, "--nats", stack.server.url]
    with (stack.folder / "cli.log").open("ab") as errors:
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=errors, cwd=ROOT)
        printed, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, json.loads(printed) if printed else None


async def bury_all(stack: Stack, outsider: Outsider, bodies: list[Any], lane: str = "standard") -> None:
    """A router that can handle nothing takes these requests: the bus parks each as a dead letter."""
    before = await outsider.messages("DEAD_LETTERS")

    async def reject(delivery: Delivery) -> None:
        raise Reject("broken", "this router is broken")

    for body in bodies:
        await outsider.request(body, lane=lane)
    bus = await stack.bus()
    worker = Worker(bus, consumers()[f"router-{lane}"], reject, service="router", slots=64)
    await worker.start()

    async def buried() -> bool:
        return await outsider.messages("DEAD_LETTERS") == before + len(bodies)

    await eventually(buried, 30, what="all dead letters")
    await outsider.idle(f"router-{lane}", "REQUESTS")
    await worker.stop(5)
    await bus.close()


async def poisoned(outsider: Outsider) -> bool:
    return await outsider.messages("DEAD_LETTERS") == 4


def asked(text: str, **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **fields}


async def test_a_thousand_dead_letters_killed_in_mid_replay_and_run_again_make_one_call_each(tmp_path: Path) -> None:
    async with own_stack(tmp_path, services=("adapters", "validator")) as (stack, outsider):
        await bury_all(stack, outsider, [asked(f"question {number}", id=f"job-{number}") for number in range(LETTERS)])
        stack.start("router-1")
        await stack.ready("router-1")
        command = ["dead", "replay", "--all", "--model", "fake/free", "--tenant", "acme", "--nats", stack.server.url]
        first = Program("cli.main", command, tmp_path / "first.log", {})
        await eventually(lambda: len(stack.calls()) > LETTERS // 5, 30, 0.01)
        first.kill()
        at_the_kill = len(stack.calls())
        code, done = await headrace(stack, "dead", "replay", "--all", "--model", "fake/free")
        assert at_the_kill < LETTERS * 9 // 10, "killed too late to show anything"
        assert (code, done["letters"], done["statuses"], done["not_replayed"]) == (0, LETTERS, {"succeeded": LETTERS}, [])
        assert 0 < done["sent"] < LETTERS
        results = {key: heard for key, heard in outsider.heard.items() if "/replay-" in key}
        assert (len(results), len(outsider.heard), await outsider.messages("RESULTS")) == (LETTERS, LETTERS, LETTERS)
        assert all(len(heard) == 1 for heard in results.values())
        assert {heard[0]["replay_of"] for heard in results.values()} == {f"job-{number}" for number in range(LETTERS)}
        calls = Counter(call.call_id for call in stack.calls())
        assert (len(calls), calls.total()) == (LETTERS, LETTERS)
        assert {call.model for call in stack.calls()} == {"free"}


@pytest.fixture(scope="module")
def story(stack: Stack) -> Iterator[dict[str, Any]]:
    """Requests of two models, with metadata, asked and answered."""

    async def ask() -> dict[str, Any]:
        async with Outsider(stack.server.url) as outsider:
            for number in range(4):
                await outsider.ask(f"plain-{number}", f"question {number}", metadata={"team": "a" if number < 2 else "b"})
            await outsider.ask("capital", '[[json {"capital": "Paris"}]]', lane="bulk")
            await outsider.ask("wrong", "hello", model="fake/none")
            for request_id in ("plain-0", "plain-1", "plain-2", "plain-3", "capital", "wrong"):
                await outsider.result(request_id)
            return {key.removeprefix("acme/"): heard[0] for key, heard in outsider.heard.items()}

    yield asyncio.run(ask())


async def test_the_same_replay_twice_makes_no_call_and_shows_the_same(stack: Stack, story: dict[str, Any]) -> None:
    code, first = await headrace(stack, "replay", "plain-0", "plain-1", "--model", "fake/free")
    assert (code, first["totals"]["sent"]) == (0, 2)
    assert {row["new"]["model"] for row in first["replays"]} == {"free"}
    before = len(stack.calls())
    code, second = await headrace(stack, "replay", "plain-1", "plain-0", "--model", "fake/free")
    assert (code, second["totals"]["sent"], len(stack.calls())) == (0, 0, before)
    assert {row["replay_id"]: row["new"] for row in first["replays"]} == {row["replay_id"]: row["new"] for row in second["replays"]}


async def test_the_side_by_side_has_the_figures_of_the_results(stack: Stack, story: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    code, told = await headrace(stack, "replay", "--where", "metadata.team=b", "--model", "fake/embed", "--out", str(out))
    new = {result["replay_of"]: result for result in map(json.loads, out.read_text().splitlines())}
    assert (code, set(new)) == (0, {"plain-2", "plain-3"})
    for row in told["replays"]:
        assert row["old"]["cost_usd"] == story[row["request_id"]]["cost_usd"]
        assert (row["new"]["cost_usd"], row["replay_id"]) == (new[row["request_id"]]["cost_usd"], new[row["request_id"]]["request_id"])
    totals = told["totals"]
    assert Decimal(totals["old"]["cost_usd"]) == sum(Decimal(story[one]["cost_usd"]) for one in new)
    assert Decimal(totals["new"]["cost_usd"]) == sum(Decimal(result["cost_usd"]) for result in new.values())
    assert (totals["requests"], totals["compared"], totals["equal"], totals["parsed_compared"]) == (2, 2, 2, 0)


async def test_a_replay_under_an_output_schema_is_parsed(stack: Stack, story: dict[str, Any], tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "properties": {"capital": {"type": "string"}}, "required": ["capital"]}')
    code, told = await headrace(stack, "replay", "capital", "--output-schema", str(schema))
    [row] = told["replays"]
    assert (code, row["old"]["parsed"], row["new"]["parsed"], row["parsed_equal"]) == (0, None, {"capital": "Paris"}, True)
    code, told = await headrace(stack, "replay", "plain-0", "--output-schema", str(schema))
    assert (code, told["replays"][0]["new"]["status"], told["totals"]["new"]["statuses"]) == (1, "failed", {"failed": 1})


async def test_a_dry_run_publishes_nothing_and_says_what_it_would_cost(stack: Stack, story: dict[str, Any]) -> None:
    async with Outsider(stack.server.url) as outsider:
        before = [await outsider.last_sequence(stream) for stream in ("REQUESTS", "CALLS", "RESULTS")]
        code, told = await headrace(stack, "replay", "--status", "refused", "--route", "default", "--dry-run")
        assert before == [await outsider.last_sequence(stream) for stream in ("REQUESTS", "CALLS", "RESULTS")]
    [row] = told["requests"]
    assert (code, row["request_id"], row["to_send"], told["totals"]["to_send"]) == (0, "wrong", True, 1)
    assert row["estimated_usd"] == told["totals"]["estimated_usd"] == "0.002055"  # "hello" and its mark are 7 tokens at 1 USD, then 1,024 at 2 USD a million


FILTERS = [
    (["--status", "refused"], {"wrong"}),
    (["--where", "lane=bulk"], {"capital"}),
    (["--where", "metadata.team=a", "--where", "model=fake/small"], {"plain-0", "plain-1"}),
    (["--where", "route=default", "--status", "succeeded", "--limit", "3"], {"plain-0", "plain-1", "plain-2"}),
    (["--since", "1h", "--where", "provider=fake"], {"plain-0", "plain-1", "plain-2", "plain-3", "capital", "wrong"}),
    (["--until", "1h"], set()),
]


@pytest.mark.parametrize(("arguments", "expected"), FILTERS, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
async def test_filters_choose_by_what_was_asked_and_how_it_ended(stack: Stack, story: dict[str, Any], arguments: list[str], expected: set[str]) -> None:
    code, told = await headrace(stack, "replay", *arguments, "--dry-run")
    assert (code, {row["request_id"] for row in told["requests"]}) == (0, expected)


async def test_what_is_not_there_and_what_failed_again_exit_1(stack: Stack, story: dict[str, Any]) -> None:
    assert (await headrace(stack, "replay", "plain-0", "no-such", "--model", "fake/free"))[0] == 1
    code, told = await headrace(stack, "replay", "plain-0", "--route", "no-such")
    assert (code, told["totals"]["new"]["statuses"]) == (1, {"refused": 1})


async def test_dead_letters_sent_again_as_they_were_make_one_call_each_with_an_id_or_without(tmp_path: Path) -> None:
    async with own_stack(tmp_path, services=("adapters", "validator")) as (stack, outsider):
        await bury_all(stack, outsider, [asked("named", id="named"), asked("unnamed"), b"\xff not json"])
        code, done = await headrace(stack, "dead", "replay", "--all")
        assert (code, done["letters"], done["sent"]) == (0, 3, 3)
        stack.start("router-1")
        await eventually(lambda: len(outsider.heard) == 2, 20, what="two results")
        await eventually(lambda: poisoned(outsider), 20, what="the poison's next dead letter")
        code, done = await headrace(stack, "dead", "replay", "--all", "--reason", "broken", "--service", "router")
        assert (code, done["letters"], done["sent"], done["statuses"]) == (0, 3, 1, {"succeeded": 2})
        assert sorted(call.call_id.split("/")[1][:7] for call in stack.calls()) == ["named", "replay-"]
        letters = (await headrace(stack, "dead", "list", "--reason", "broken"))[1]
        assert (await headrace(stack, "dead", "show", letters[1]["id"]))[1] == letters[1]
        await outsider.js.purge_stream("REQUESTS")
        assert (await headrace(stack, "dead", "show", letters[2]["id"]))[1] == letters[2]
        code, done = await headrace(stack, "dead", "replay", letters[1]["id"])
        assert (code, done["sent"], done["subject"]) == (0, False, None)
        code, done = await headrace(stack, "dead", "replay", "--all", "--model", "fake/free")
        assert (code, done["statuses"], len(done["not_replayed"])) == (1, {"succeeded": 2}, done["letters"] - 2)
