"""Two versions of every service side by side under load, forth and back: whoever asks notices nothing."""

import asyncio
import json
import signal
import sqlite3
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from nats.aio.msg import Msg

from contracts.export import SCHEMAS
from tests.support.client import Outsider
from tests.support.processes import ROOT, eventually
from tests.support.stack import Stack, configuration
from tests.support.versions import FIELD, OF_PRODUCERS, WRITTEN, next_version

SERVICES = ("router", "adapters", "validator", "meter", "indexer")
LEAVES_S = 30.0
IN_FLIGHT = 12
ONE_OF = {"name": "seven", "json_schema": {"enum": [7, "[[text 7]]"]}, "max_repairs": 2}
"""What the model first says (8) does not fit; the correction that it is told quotes this, and so the marker."""
STORED_IN = {
    "attempt": ("ATTEMPTS", ">"),
    "cost": ("COSTS", ">"),
    "call_begun": ("JOURNAL", "llm.v1.begun.>"),
    "result": ("RESULTS", ">"),
    "verdict": ("VERDICTS", ">"),
}


class Mixed:
    """Plain, streamed, repaired and failed-over requests in turn, so many at a time, until it is stopped."""

    def __init__(self, outsider: Outsider) -> None:
        self.outsider = outsider
        self.asked: list[str] = []
        self.calls: list[dict[str, Any]] = []
        """Every call that was published: it is gone from its stream when it has ended."""
        self._stopping = False

    async def run(self) -> None:
        async def heard(message: Msg) -> None:
            self.calls.append(json.loads(message.data))

        await self.outsider.nc.subscribe("llm.v1.call.>", cb=heard)
        while not self._stopping:
            if len(self.open()) >= IN_FLIGHT:
                await asyncio.sleep(0.01)
                continue
            request_id = f"r{len(self.asked)}"
            self.asked.append(request_id)
            await self._ask(request_id, ("plain", "stream", "plain", "repair", "plain", "failover")[len(self.asked) % 6])

    async def _ask(self, request_id: str, kind: str) -> None:
        match kind:
            case "stream":
                await self.outsider.ask(request_id, f"[[pace 0.01]] {request_id}", stream=True)
            case "repair":
                await self.outsider.ask(request_id, f"[[text 8]] {request_id}", output=ONE_OF)
            case "failover":
                await self.outsider.ask(request_id, f"Hello {request_id}", route="failover")
            case _:
                await self.outsider.ask(request_id, f"Hello {request_id}")

    def open(self) -> list[str]:
        return [request_id for request_id in self.asked[-200:] if f"acme/{request_id}" not in self.outsider.heard]

    def stop(self) -> None:
        self._stopping = True


def with_failover(base_url: str) -> dict[str, Any]:
    config = configuration(base_url)
    config["providers"].append({"id": "dead", "type": "openai", "base_url": "http://127.0.0.1:9/v1", "models": [{"id": "gone"}]})
    config["routes"]["failover"] = {"candidates": ["dead/gone", "fake/small"]}
    return config


async def gone(stack: Stack, *names: str) -> None:
    """SIGTERM, until they have left with status 0."""
    leaving = {name: stack.services[name] for name in names}
    stack.send(signal.SIGTERM, *names)
    await eventually(lambda: not any(program.alive for program in leaving.values()), LEAVES_S, 0.05, what=f"{names} leaving")
    assert {name: program.process.returncode for name, program in leaving.items() if program.process.returncode} == {}


async def replaced(stack: Stack, root: Path, *names: str) -> None:
    """When they have left, their successors of the version in `root`, until they are ready."""
    await gone(stack, *names)
    for name in names:
        stack.start(name, root=root)
    await asyncio.gather(*(stack.ready(name) for name in names))


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_rolling_upgrade_and_its_rollback_under_load_lose_nothing_and_fail_nothing(tmp_path: Path) -> None:
    index, newer = tmp_path / "index.sqlite", next_version(tmp_path / "v2")
    environment = {"HEADRACE_INDEXER_INDEX_URL": f"sqlite:///{index}", "HEADRACE_INDEXER_EMBEDDINGS": "off"}
    stack = Stack(tmp_path / "stack", provider_delay_s=0.3, environment=environment)
    try:
        await stack.start_servers()
        await stack.start_provider()
        await stack.begin_services(2, with_failover(stack.base_url), SERVICES)
        async with Outsider(stack.url) as outsider:
            load = Mixed(outsider)
            loading = asyncio.create_task(load.run())
            for service in SERVICES:
                await replaced(stack, newer, f"{service}-2")
            await _more(load)
            await _refused_by_name(outsider, "by-some")
            await replaced(stack, newer, *(f"{service}-1" for service in SERVICES))
            await outsider.request({"id": "known", OF_PRODUCERS: "hello", "messages": [{"role": "user", "content": "Hello"}]})
            assert (await outsider.result("known", within_s=30))["status"] == "succeeded"
            await _more(load)
            await replaced(stack, ROOT, *(f"{service}-1" for service in SERVICES))
            await _more(load)
            await gone(stack, *(f"{service}-2" for service in SERVICES))  # the old version alone goes on with what the newer one left
            await _more(load)
            load.stop()
            await loading
            await eventually(lambda: not load.open(), 60, 0.2, what="results")
            await outsider.idle("meter", "ATTEMPTS")
            await outsider.idle("indexer-results", "RESULTS")
            assert set(load.asked) <= {row[0] for row in _rows(index, "SELECT id FROM index_documents WHERE live")}
            assert FIELD in {row[1] for row in _rows(stack.ledger, "PRAGMA table_info(calls)")}, "the newer meters have migrated nothing"
            await _account(stack, outsider, load.asked)
            await _fit_the_old_schemas(outsider, load.calls)
    finally:
        await asyncio.to_thread(stack.end)
    errors = [line for log in stack.folder.glob("*-[12].*.log") for line in log.read_text().splitlines() if '"level":"error"' in line]
    assert errors == []


async def _more(load: Mixed) -> None:
    """All kinds of requests pass between the versions that run now."""
    wanted = len(load.asked) + 30
    await eventually(lambda: len(load.asked) > wanted and len(load.open()) < IN_FLIGHT, 60, what="load")


async def _refused_by_name(outsider: Outsider, request_id: str) -> None:
    """While an old router is there, a new producer's field is refused by name or taken, never dropped in silence."""
    for number in range(8):
        await outsider.request({"id": f"{request_id}-{number}", OF_PRODUCERS: "hello", "messages": [{"role": "user", "content": "Hello"}]})
    results = [await outsider.result(f"{request_id}-{number}", within_s=30) for number in range(8)]
    errors = [result["error"] for result in results if result["status"] == "refused"]
    assert errors and {(error["type"], error["field"]) for error in errors} == {("invalid_request", OF_PRODUCERS)}
    assert {result["status"] for result in results} <= {"refused", "succeeded"}


async def _account(stack: Stack, outsider: Outsider, asked: list[str]) -> None:
    results = {request_id: outsider.heard[f"acme/{request_id}"] for request_id in asked}
    assert {request_id for request_id, heard in results.items() if len(heard) != 1} == set()
    assert Counter(heard[0]["status"] for heard in results.values()) == {"succeeded": len(asked)}
    outcomes = {tuple(attempt["provider"] for attempt in heard[0]["attempts"]) for heard in results.values()}
    assert ("fake", "fake") in outcomes and any(providers[0] == "dead" and providers[-1] == "fake" for providers in outcomes), outcomes
    assert await outsider.messages("DEAD_LETTERS") == 0
    calls = Counter((call.call_id, call.input_tokens, call.output_tokens) for call in stack.calls())
    assert max(calls.values()) == 1, "a call was dialled twice"
    assert _answered(stack.ledger) == calls, "the ledger is not the provider's log"
    told = {cost["call_id"]: cost["cost_usd"] for _, _, cost in await outsider.all_stored("COSTS")}
    asked_for = sum(Decimal(tokens_in + 2 * tokens_out) for _, tokens_in, tokens_out in calls) / 1_000_000
    assert sum(Decimal(cost) for cost in told.values() if cost) == asked_for


def _answered(ledger: Path) -> Counter[tuple[str, int, int]]:
    return Counter(_rows(ledger, "SELECT call_id, input_tokens, output_tokens FROM calls WHERE outcome = 'answered'"))


def _rows(database: Path, question: str) -> list[Any]:
    connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)
    try:
        return connection.execute(question).fetchall()
    finally:
        connection.close()


async def _fit_the_old_schemas(outsider: Outsider, calls: list[dict[str, Any]]) -> None:
    """What either version wrote is valid under the schemas of the old one; both wrote some of each."""
    stored = {contract: [body for _, _, body in await outsider.all_stored(stream, subjects)] for contract, (stream, subjects) in STORED_IN.items()}
    for contract, bodies in {**stored, "call": calls}.items():
        schema = jsonschema_rs.validator_for(json.loads((SCHEMAS / f"{contract}.v1.json").read_text()))
        for body in bodies:
            schema.validate(body)
        assert {body.get(FIELD) for body in bodies} == {None, WRITTEN}, contract
