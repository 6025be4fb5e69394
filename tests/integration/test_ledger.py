"""The ledger made again from the streams and priced again, on both databases; several meters on one PostgreSQL."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from nats.js.errors import NotFoundError
from sqlalchemy import delete, insert, select

from bus.configuration import push
from bus.connection import Bus
from bus.provision import provision
from bus.server import EmbeddedServer
from catalog.models import Catalog
from contracts.config import ConfigV1
from services.meter.ledger import Ledger, calls
from services.meter.rebuild import Rebuilt, measure, rebuild
from services.meter.report import Choice, CostQuestion, report
from services.meter.reprice import write
from tests.support import canaries
from tests.support.postgres import Postgres
from tests.support.processes import ROOT, Program, eventually
from tests.support.stack import Stack

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PRICED = {"id": "m", "price": {"input_mtok": "1", "output_mtok": "2"}}
CONFIG = {"version": 2, "providers": [{"id": "p", "type": "openai", "base_url": "http://127.0.0.1:1/v1", "models": [PRICED]}]}


CATALOG = Catalog(ConfigV1.model_validate(CONFIG), revision=2)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A NATS server for all tests of this module; each purges what it reads."""
    started = EmbeddedServer(tmp_path_factory.mktemp("nats"))
    started.start()
    yield started
    started.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    url = f"sqlite:///{tmp_path / 'ledger.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres").database()
    made = Ledger(url)
    made.create()
    yield made
    made.close()


@asynccontextmanager
async def connected(server: EmbeddedServer) -> AsyncIterator[Bus]:
    """A connection to new streams: a purged one would remember message ids."""
    bus = Bus(server.url)
    await bus.connect(timeout_s=10)
    for stream in ("COSTS", "ATTEMPTS"):
        with suppress(NotFoundError):
            await bus.nc.jetstream().delete_stream(stream)
    await provision(bus)
    try:
        yield bus
    finally:
        await bus.close()


def told(number: int, cost: str | None = "1", *, at: datetime = NOW, tenant: str = "acme", **fields: Any) -> dict[str, Any]:
    """A cost event as the meter writes it."""
    event = {
        "call_id": f"{tenant}/job-{number}/1",
        "request_id": f"job-{number}",
        "tenant": tenant,
        "kind": "chat",
        "lane": "standard",
        "provider": "p",
        "model": "m",
        "response_model": None,
        "outcome": "answered",
        "usage": {"input_tokens": 1_000_000, "output_tokens": 0},
        "cost_usd": cost,
        "basis": "usage",
        "price_version": "config@1",
        "metadata": {"ticket": f"T-{number % 2}"},
        "occurred_at": at.isoformat(),
        "requested_at": (at - timedelta(seconds=1)).isoformat(),
        "route": "default",
        "streamed": False,
        "late": False,
        "repriced_at": None,
        "duration_s": 0.5,
    }
    return {**event, **fields}


def attempted(number: int, cost: str | None, outcome: str = "answered", **fields: Any) -> dict[str, Any]:
    """An attempt of the same call."""
    origin = {"request_id": f"job-{number}", "tenant": "acme", "kind": "chat", "route": "default", "lane": "standard", "metadata": {}, "request_seq": 1}
    return {
        "origin": {**origin, "request_sha256": "0" * 64, "requested_at": (NOW - timedelta(seconds=1)).isoformat(), "deadline": NOW.isoformat()},
        "slip": {"candidates": []},
        "summary": {"n": 1, "provider": "p", "model": "m", "outcome": outcome, "cost_usd": cost},
        "cost_basis": "usage" if cost else "unknown",
        "call_seq": 9,
        "occurred_at": NOW.isoformat(),
        **fields,
    }


async def publish(bus: Bus, *events: dict[str, Any], msg_id: str | None = None) -> None:
    for event in events:
        if "call_id" in event:
            await bus.publish(bus.subjects.cost(event["tenant"]), json.dumps(event).encode(), msg_id=msg_id)
        else:
            ended = "answered" if event["summary"]["outcome"] == "answered" else "failed"
            await bus.publish(bus.subjects.attempt(ended, "standard", "acme", event["origin"]["request_id"], 1), json.dumps(event).encode())


def headrace(*arguments: str) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run([sys.executable, "-m", "cli.main", *arguments], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    canaries.said(arguments[0], done.stderr)
    return done


def url_of(ledger: Ledger) -> str:
    return ledger.engine.url.render_as_string(hide_password=False)


async def rebuilt(bus: Bus, ledger: Ledger) -> Rebuilt:
    return await rebuild(bus, ledger, lambda _: None)


async def repriced(bus: Bus, ledger: Ledger, **choice: Any) -> int:
    """Written at the prices of `CONFIG`; how many calls were corrected."""
    return await write(bus, ledger, CATALOG, Choice.model_validate(choice).filters(), datetime.now(UTC), lambda _: None)


def total(ledger: Ledger) -> str | None:
    return report(ledger.engine, CostQuestion())["total_usd"]  # type: ignore[no-any-return]  # text or null


def contents(ledger: Ledger) -> list[dict[str, Any]]:
    with ledger.engine.connect() as connection:
        return [dict(row) for row in connection.execute(select(calls).order_by(calls.c.call_id, calls.c.requested_at)).mappings()]


async def test_a_rebuild_brings_back_every_call_of_the_streams_and_can_run_twice(server: EmbeddedServer, ledger: Ledger) -> None:
    async with connected(server) as bus:
        await publish(bus, *(told(number) for number in range(1200)))
        await publish(bus, told(0, "0.5", late=True), told(1, at=NOW + timedelta(days=2)), attempted(5000, "3"), attempted(0, None, "outcome_unknown"))
        steps: list[int] = []
        done = await rebuild(bus, ledger, steps.append)
        assert (done.attempts, done.costs, done.unreadable_count, ledger.count()) == (2, 1202, 0, 1202)
        assert sum(steps) == await measure(bus) == 1204
        assert total(ledger) == str(Decimal("1199") + Decimal("0.5") + 1 + 3)
        before = contents(ledger)
        await rebuilt(bus, ledger)
        assert contents(ledger) == before


async def test_a_rebuild_leaves_alone_what_the_streams_no_longer_hold(server: EmbeddedServer, ledger: Ledger) -> None:
    async with connected(server) as bus:
        await publish(bus, told(1), told(2))
        await rebuilt(bus, ledger)
        old = {**contents(ledger)[0], "call_id": "acme/old/1", "request_id": "old", "cost_usd": "100"}
        with ledger.engine.begin() as connection:
            connection.execute(insert(calls), [old])
            connection.execute(delete(calls).where(calls.c.call_id == "acme/job-2/1"))
        await rebuilt(bus, ledger)
        assert [row["call_id"] for row in contents(ledger)] == ["acme/job-1/1", "acme/job-2/1", "acme/old/1"]
        assert total(ledger) == "102"


async def test_events_that_say_no_request_time_find_their_rows(server: EmbeddedServer, ledger: Ledger) -> None:
    """Those of older versions, and those that others write by the published form."""

    def bare(number: int, cost: str, **fields: Any) -> dict[str, Any]:
        event = told(number, cost, **fields)
        return {name: value for name, value in event.items() if name not in ("requested_at", "route", "streamed", "late", "repriced_at", "duration_s")}

    async with connected(server) as bus:
        await publish(bus, told(1))
        await rebuilt(bus, ledger)
        await publish(bus, bare(1, "4"), bare(2, "1"), bare(2, "0.25", at=NOW + timedelta(hours=1)), bare(2, "8", at=NOW + timedelta(days=3)))
        await publish(bus, bare(3, "0.5"), msg_id="cost:acme/job-3/1:late")
        await publish(bus, bare(3, "9"), msg_id="cost:acme/job-3/1:failed")
        for _ in range(2):
            await rebuilt(bus, ledger)
            assert [(row["request_id"], row["route"], row["cost_usd"]) for row in contents(ledger)] == [
                ("job-1", "default", "4"),
                ("job-2", None, "0.25"),
                ("job-2", None, "8"),
                ("job-3", None, "0.5"),
            ]


async def test_a_message_that_cannot_be_read_is_named_and_the_rest_is_read(server: EmbeddedServer, ledger: Ledger) -> None:
    async with connected(server) as bus:
        await publish(bus, told(1))
        await bus.publish(bus.subjects.cost("acme"), b'{"call_id": 1}')
        await publish(bus, told(2))
        done = await rebuilt(bus, ledger)
        assert (done.costs, done.unreadable_count, total(ledger)) == (2, 1, "2")
        assert done.unreadable[0].startswith("'llm.v1.cost.acme', sequence 2: ")


async def test_a_written_repricing_is_told_so_that_a_later_rebuild_gives_the_same(server: EmbeddedServer, ledger: Ledger) -> None:
    async with connected(server) as bus:
        again = NOW + timedelta(days=2)
        await publish(bus, *(told(number, "5") for number in range(30)), told(0, "6", at=again), told(99, "7", basis="provider"))
        await rebuilt(bus, ledger)
        assert await repriced(bus, ledger) == 31
        assert total(ledger) == "38"
        corrected = contents(ledger)
        assert {row["price_version"] for row in corrected if row["basis"] == "usage"} == {"config@2"}
        assert await repriced(bus, ledger) == 0
        await rebuilt(bus, ledger)
        assert contents(ledger) == corrected
        with ledger.engine.begin() as connection:
            connection.execute(delete(calls))
        await rebuilt(bus, ledger)
        assert contents(ledger) == corrected


class Killed(Exception):
    """The process ended here."""


class DyingLedger(Ledger):
    def merge(self, rows: Any) -> None:
        raise Killed


class DyingBus(Bus):
    async def publish(self, *_: Any, **__: Any) -> Any:
        raise Killed


async def test_a_repricing_that_was_killed_is_finished_by_the_next(server: EmbeddedServer, ledger: Ledger) -> None:
    async with connected(server) as bus:
        await publish(bus, told(1, "5"))
        await rebuilt(bus, ledger)
        with pytest.raises(Killed):
            await repriced(DyingBus(server.url), ledger)
        assert total(ledger) == "5", "a row that was corrected before its event would never be told"
        dying = DyingLedger(url_of(ledger))
        with pytest.raises(Killed):
            await repriced(bus, dying)
        dying.close()
        assert total(ledger) == "5"
        assert await repriced(bus, ledger) == 1
        before = contents(ledger)
        with ledger.engine.begin() as connection:
            connection.execute(delete(calls))
        await rebuilt(bus, ledger)
        assert contents(ledger) == before


async def test_a_repricing_can_be_kept_to_a_tenant_a_model_and_a_window(server: EmbeddedServer, ledger: Ledger) -> None:
    async with connected(server) as bus:
        events = [told(1, "5"), told(2, "5", tenant="other"), told(3, "5", at=NOW - timedelta(days=1)), told(4, "5", model="else")]
        await publish(bus, *events)
        await rebuilt(bus, ledger)
        await repriced(bus, ledger, tenant="acme", since="2026-11-21", until="2026-11-22", provider="p", model="m")
        assert {row["request_id"]: row["cost_usd"] for row in contents(ledger)} == {"job-1": "1", "job-2": "5", "job-3": "5", "job-4": "5"}


async def test_the_commands_rebuild_show_the_differences_and_change_nothing_until_they_are_told_to(server: EmbeddedServer, tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")

    async def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return await asyncio.to_thread(headrace, "--nats", server.url, "cost", *arguments, "--ledger", url_of(ledger))

    async with connected(server) as bus:
        await push(bus, json.dumps(CONFIG))
        await publish(bus, told(1, "5"), told(2, "7", basis="provider"), told(3, "1"), told(4, "9", tenant="other"))
        done = await command("rebuild")
        assert (done.returncode, done.stdout) == (0, "read 4 costs and 0 attempts, 0 not readable; the ledger has 4 calls\n")
        assert "rebuild" in done.stderr and "4/4" in done.stderr
        before, messages = contents(ledger), (await bus.nc.jetstream().stream_info("COSTS")).state.messages
        shown = json.loads((await command("reprice", "--json")).stdout)
        changes = {"old_usd": "22", "new_usd": "10", "difference_usd": "-12", "old_unpriced": 0, "new_unpriced": 0}
        assert shown["rows"] == [{"provider": "p", "model": "m", "calls": 4, "changed": 2, **changes, "kept": {"provider": 1, "same": 1}}]
        assert (shown["written"], contents(ledger)) == (0, before)
        assert (await bus.nc.jetstream().stream_info("COSTS")).state.messages == messages
        written = await command("reprice", "--write", "--tenant", "acme")
        assert "-$4" in written.stdout and "1 calls corrected" in written.stdout
        assert total(ledger) == "18"
    ledger.close()


async def test_a_ledger_that_nobody_names_is_not_guessed(server: EmbeddedServer) -> None:
    async with connected(server):
        done = await asyncio.to_thread(headrace, "--nats", server.url, "cost", "rebuild")
        assert done.returncode == 1
        assert "HEADRACE_METER_LEDGER_URL" in done.stderr


async def test_two_meters_share_one_postgresql_and_every_call_is_one_row_with_its_tokens(postgres: Postgres, tmp_path: Path) -> None:
    url = postgres.database()
    stack = Stack(tmp_path / "stack", environment={"HEADRACE_METER_LEDGER_URL": url})
    ledger, requests = Ledger(url), 300
    try:
        await stack.begin()
        stack.start("meter-2")
        await stack.ready("meter-2")
        bus = await stack.bus()
        for number in range(requests):
            body = {"id": f"shared-{number}", "messages": [{"role": "user", "content": f"Hello {number}"}]}
            await bus.publish(bus.subjects.request("acme", "chat", "standard"), json.dumps(body).encode())
        await eventually(lambda: ledger.count() >= requests, 30)
        rows = {row["call_id"]: (row["input_tokens"], row["output_tokens"]) for row in contents(ledger)}
        assert len(rows) == ledger.count() == requests
        assert rows == {call.call_id: (call.input_tokens, call.output_tokens) for call in stack.calls()}
        metered = [stack.services[name].text().count('"metered"') for name in ("meter-1", "meter-2")]
        assert min(metered) > 0
        asked = sum(Decimal(tokens[0]) + 2 * Decimal(tokens[1]) for tokens in rows.values()) / 1_000_000
        reply = json.loads((await bus.request(bus.subjects.query("cost"), b'{"by":["tenant"]}')).data)
        assert Decimal(reply["total_usd"]) == asked
        refused = await asyncio.to_thread(headrace, "--nats", stack.server.url, "cost", "rebuild")
        assert refused.returncode == 1 and "does not tell" in refused.stderr
        await bus.close()
    finally:
        ledger.close()
        await asyncio.to_thread(stack.end)


async def test_beside_a_running_meter_the_commands_find_its_sqlite_file(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "stack")
    try:
        await stack.begin(services=("meter",))
        bus = await stack.bus()
        await publish(bus, told(1, "5"), told(2, "6"))
        done = await asyncio.to_thread(headrace, "--json", "--nats", stack.server.url, "cost", "rebuild")
        assert json.loads(done.stdout)["rows"] == 2, done.stderr
        lines = await asyncio.to_thread(headrace, "--nats", stack.server.url, "cost", "--by", "metadata.ticket,kind", "--since", "2026-11-21", "--csv")
        header = (
            "metadata.ticket,kind,calls,calls_unpriced,calls_estimated,input_tokens,output_tokens,cache_read_tokens,cache_write_tokens,cost_usd,cost_known_usd"
        )
        assert lines.stdout.splitlines() == [header, "T-0,chat,1,0,0,1000000,0,,,6,6", "T-1,chat,1,0,0,1000000,0,,,5,5"]
        default = json.loads((await asyncio.to_thread(headrace, "--json", "--nats", stack.server.url, "cost")).stdout)
        assert (default["total_usd"], [(row["tenant"], row["provider"], row["model"], row["calls"], row["cost_usd"]) for row in default["rows"]]) == (
            "11",
            [("acme", "p", "m", 2, "11")],
        )
        await bus.close()
    finally:
        await asyncio.to_thread(stack.end)


async def test_five_thousand_made_up_calls_are_rebuilt_and_priced_again_to_the_same_totals_on_both_databases(tmp_path: Path) -> None:
    """`python -m bench.ledger` in small: it compares every sum with plain arithmetic."""
    bench = Program("bench.ledger", ["--calls", "5000"], tmp_path / "bench.out", {})
    try:
        await eventually(lambda: not bench.alive, 100, 0.2)
        figures = json.loads(bench.text().splitlines()[-1])
    finally:
        bench.stop()
    assert (figures["calls"], figures["equal"]) == (5000, True)
    assert figures["sqlite"]["corrected"] == figures["postgresql"]["corrected"] > 1000
    assert figures["old_usd"] != figures["new_usd"]
    assert "sqlite: rebuild" in bench.text() and "postgresql: write" in bench.text()
