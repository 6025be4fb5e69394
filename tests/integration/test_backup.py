"""Saved while it runs, everything deleted, restored: what was finished is the same to the byte, what was not ends."""

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bus.backup import order, save
from bus.connection import Bus
from bus.manifest import Manifest, begin, seal
from bus.provision import provision
from bus.restoring import bring_back
from bus.server import EmbeddedServer
from bus.snapshots import durables, state_of
from bus.stored import Stored
from tests.chaos.load import Load
from tests.support.client import Outsider
from tests.support.cluster import Cluster
from tests.support.processes import ROOT, eventually
from tests.support.stack import SERVICES, Stack

Row = tuple[Any, ...]


async def headrace(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "cli.main", *arguments]
    return await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=90, check=False, cwd=ROOT, env={**os.environ, **environment}
    )


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Bus]:
    bus = Bus(url)
    await bus.connect(timeout_s=10)
    try:
        yield bus
    finally:
        await bus.close()


@asynccontextmanager
async def empty_server(folder: Path) -> AsyncIterator[Bus]:
    """A connection to a server of its own."""
    server = EmbeddedServer(folder)
    await asyncio.to_thread(server.start)
    try:
        async with connected(server.url) as bus:
            yield bus
    finally:
        await asyncio.to_thread(server.stop)


async def content(bus: Bus, stream: str) -> dict[int, Stored]:
    """Every message of a stream, by sequence."""
    found: dict[int, Stored] = {}
    while page := await bus.scan(stream, max(found, default=0) + 1):
        for stored in page:
            del stored.headers["Nats-Num-Pending"]  # of the page, not of the message
            found[stored.seq] = stored
    return found


def ledger_of(file: Path) -> set[Row]:
    with sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT * FROM calls").fetchall()
    connection.close()
    return set(rows)


def by_request(file: Path) -> Counter[str]:
    with sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT request_id FROM calls").fetchall()
    connection.close()
    return Counter(row[0] for row in rows)


UNFINISHED = {"in-flight": "[[stall x1]] hello", "put-off": "[[status 503 x1]][[retry_after 20 x1]] hello"}


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_what_was_saved_under_load_goes_on_in_a_new_server_after_everything_was_deleted(tmp_path: Path) -> None:
    saved, stack = tmp_path / "saved", Stack(tmp_path / "stack", provider_delay_s=0.02)
    try:
        await stack.begin()
        async with Outsider(stack.url) as outsider:
            before, old_rows, heard = await _save_under_load(stack, outsider, saved)
        async with connected(stack.url) as bus:
            old = await content(bus, "RESULTS")
        await asyncio.to_thread(stack.server.stop)
        everything = ledger_of(stack.ledger)
        shutil.rmtree(stack.server.data_dir / "jetstream")
        for file in stack.folder.glob("ledger.sqlite*"):
            file.unlink()

        await stack.restart_server()
        done = await headrace("--json", "--nats", stack.url, "restore", str(saved), **stack.environment)
        assert done.returncode == 0, done.stderr
        async with connected(stack.url) as bus:
            brought = await content(bus, "RESULTS")
            assert {seq: old.get(seq) for seq in brought} == brought, "a result is not the one that was given"
            assert before <= {stored.subject for stored in brought.values()}
            asked = {json.loads(stored.body)["id"] for stored in (await content(bus, "REQUESTS")).values()}
            floor = {one["name"]: one["ack_floor"]["stream_seq"] for one in await durables(bus, "ATTEMPTS")}
        assert old_rows <= ledger_of(stack.ledger) <= everything
        assert asked >= {*heard, *UNFINISHED}
        assert floor["meter"] > 0 and floor["router-failed-standard"] > 0, "consumers begin again"

        async with Outsider(stack.url) as outsider:
            await _all_end(stack, outsider, asked)
            assert {call.call_id for call in stack.calls()} >= {"acme/in-flight/1", "acme/in-flight/2"}
            again = Counter(call.call_id.split("/")[1] for call in stack.calls())
            assert {request_id: again[request_id] for request_id in heard if again[request_id] > 1} == {}, "what was answered was asked again"
            assert sum(await _costs(outsider)) == await _spent(stack)
    finally:
        await asyncio.to_thread(stack.end)


async def _save_under_load(stack: Stack, outsider: Outsider, saved: Path) -> tuple[set[str], set[Row], set[str]]:
    """Save while requests come, calls end and answers wait; the results, the rows and the request ids that stood before. Then everything dies."""
    await outsider.ask("in-flight", UNFINISHED["in-flight"])
    load = Load(stack, outsider, fewest=200, in_flight=24, seed=3)
    loading = asyncio.create_task(load.run())
    await eventually(lambda: len(outsider.heard) > 100, 30)
    stack.pause("validator-1")
    await eventually(lambda: len(load.unanswered()) > 40, 30, what="answers that wait for the validator")
    await outsider.ask("put-off", UNFINISHED["put-off"])
    await eventually(lambda: outsider.subjects("CALLS", "llm.v1.call.later.*.acme.>"), 30, what="a call that waits for its time")
    before, rows = set(await outsider.subjects("RESULTS")), ledger_of(stack.ledger)
    heard = {subject.split(".")[-1] for subject in before}
    done = await headrace("--json", "--nats", stack.url, "backup", str(saved))
    assert done.returncode == 0, done.stderr
    counts = {stream["name"]: stream["messages"] for stream in json.loads(done.stdout)["streams"]}
    assert counts["REQUESTS"] >= counts["ATTEMPTS"] > counts["RESULTS"] >= len(before) and counts["CALLS"] >= len(UNFINISHED), counts
    loading.cancel()
    stack.resume("validator-1")
    for name in [f"{service}-1" for service in SERVICES]:
        stack.kill(name)
    return before, rows, heard


async def _all_end(stack: Stack, outsider: Outsider, asked: set[str]) -> None:
    """The services find everything in its place and end what was not ended: once, and with one row for each attempt."""
    for service in SERVICES:
        stack.start(f"{service}-1")

    async def ended() -> bool:
        return await outsider.messages("RESULTS") == len(asked)

    await eventually(ended, 180, 0.5, what="a result of each request")
    await outsider.idle("meter", "ATTEMPTS")
    results = [result for _, _, result in await outsider.all_stored("RESULTS")]
    assert {result["status"] for result in results} == {"succeeded"}
    assert {result["request_id"] for result in results} == asked
    assert by_request(stack.ledger) == Counter({result["request_id"]: len(result["attempts"]) for result in results}), "costs are doubled or lost"
    assert await outsider.messages("DEAD_LETTERS") == 0
    errors = [line for service in SERVICES for line in stack.services[f"{service}-1"].text().splitlines() if '"level":"error"' in line]
    assert errors == []


async def _costs(outsider: Outsider) -> list[Decimal]:
    """Of each call the last that was told."""
    told = {cost["call_id"]: cost["cost_usd"] for _, _, cost in await outsider.all_stored("COSTS")}
    return [Decimal(cost) for cost in told.values() if cost is not None]


async def _spent(stack: Stack) -> Decimal:
    done = await headrace("--json", "--nats", stack.url, "cost")
    return sum((Decimal(row["cost_known_usd"]) for row in json.loads(done.stdout)["rows"]), Decimal(0))


async def test_a_backup_restores_into_a_cluster_with_three_replicas_and_back_into_one_server(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "cluster")
    try:
        async with empty_server(tmp_path / "one") as bus:
            await provision(bus)
            for number in range(300):
                await bus.publish("llm.v1.request.acme.chat.standard", b"%d" % number * 100)
                await bus.publish(f"llm.v1.settle.acme.r{number}", b"%d" % number * 50)
            written = {stream: await content(bus, stream) for stream in ("REQUESTS", "RESULTS")}
            done = await headrace("--nats", bus.url, "backup", str(tmp_path / "first"), "--no-databases")
            assert done.returncode == 0, done.stderr
        await asyncio.to_thread(cluster.start)
        done = await headrace("--nats", cluster.url, "restore", str(tmp_path / "first"), "--replicas", "3", "--no-databases")
        assert done.returncode == 0, done.stderr
        async with connected(cluster.url) as bus:
            infos = await bus.nc.jetstream(timeout=10).streams_info()
            assert {info.config.name: info.config.num_replicas for info in infos} == dict.fromkeys([*order("llm"), "DELTAS"], 3)
            await eventually(lambda: _same(bus, written), 30, 0.3, what="all replicas hold what was saved")
        done = await headrace("--nats", cluster.url, "backup", str(tmp_path / "second"), "--no-databases")
        assert done.returncode == 0, done.stderr
        async with empty_server(tmp_path / "other") as bus:
            done = await headrace("--nats", bus.url, "restore", str(tmp_path / "second"), "--replicas", "1", "--no-databases")
            assert done.returncode == 0, done.stderr
            assert await _same(bus, written)
            done = await headrace("--nats", bus.url, "backup", str(tmp_path / "part"), "--no-databases", "--streams", "RESULTS,REQUESTS")
            assert sorted(path.name for path in (tmp_path / "part").iterdir()) == ["REQUESTS.snapshot", "RESULTS.snapshot", "SHA256SUMS", "manifest.json"]
    finally:
        await asyncio.to_thread(cluster.stop)


async def _same(bus: Bus, written: dict[str, dict[int, Stored]]) -> bool:
    return all([await content(bus, stream) == messages for stream, messages in written.items()])


async def test_a_call_that_is_stored_anew_while_its_stream_is_saved_is_not_lost(tmp_path: Path) -> None:
    """A scheduled call that comes due during the backup: the server's snapshot has neither the old message nor the new one."""
    async with empty_server(tmp_path / "nats") as bus:
        await provision(bus)
        await asyncio.gather(*(bus.publish(f"llm.v1.call.fake.standard.acme.r{number}.1", os.urandom(4000)) for number in range(4000)))

        async def due() -> None:
            async with connected(bus.url) as other:
                await other.publish("llm.v1.call.fake.standard.acme.moved.1", b"the call")
                await other.delete("CALLS", 4000)

        moved: list[int] = []

        def once(_: int) -> None:
            if not moved:
                moved.append(1)
                with ThreadPoolExecutor() as aside:
                    aside.submit(asyncio.run, due()).result()

        saved = await save(bus, "CALLS", tmp_path, once)
        assert (saved.state["last_seq"], saved.tail_messages) == (4000, 1)
        await bus.nc.jetstream(timeout=10).delete_stream("CALLS")
        await bring_back(bus, saved, tmp_path, None, lambda _: None)
        brought = await content(bus, "CALLS")
        assert len(brought) == 4000 and 4000 not in brought
        assert [stored.body for stored in brought.values() if ".moved." in stored.subject] == [b"the call"]


async def test_a_claim_whose_call_is_not_in_the_backup_goes_unless_it_left_an_attempt(tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    begin(saved)
    async with empty_server(tmp_path / "nats") as bus:
        await provision(bus)
        await bus.publish("llm.v1.call.fake.standard.acme.a.1", b"{}")
        streams = [await save(bus, "CALLS", saved, lambda _: None)]
        for request_id, call_seq in {"a": 1, "b": 2, "c": 3}.items():
            entry = {"call_seq": call_seq, "delivery": 1, "writer": "adapter", "begun_at": "2026-11-21T12:00:00Z"}
            await bus.publish(f"llm.v1.begun.acme.{request_id}.1", json.dumps(entry).encode())
        await bus.publish("llm.v1.attempt.answered.standard.acme.c.1", b"{}")
        await bus.publish("llm.v1.lease.checks", b"not a claim")
        streams += [await save(bus, name, saved, lambda _: None) for name in ("ATTEMPTS", "JOURNAL")]
        now = datetime.now(UTC)
        manifest = Manifest(headrace="", server="", root="llm", began_at=now, ended_at=now, positions=[], streams=streams, databases=[])
        seal(saved, manifest)
        done = await headrace("--json", "--nats", bus.url, "restore", str(saved), "--replace", "--no-databases")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["claims_dropped"] == 1
        assert [stored.subject.split("v1.")[1] for stored in (await content(bus, "JOURNAL")).values()] == ["begun.acme.a.1", "begun.acme.c.1", "lease.checks"]


async def test_a_restore_refuses_altered_files_full_servers_and_services_at_work_and_touches_nothing(tmp_path: Path) -> None:
    stack, saved = Stack(tmp_path / "stack"), tmp_path / "saved"
    try:
        await stack.begin(services=("meter",))
        async with connected(stack.url) as bus:
            await bus.publish("llm.v1.request.acme.chat.standard", b"kept")
            assert (await headrace("--nats", stack.url, "backup", str(saved))).returncode == 0
            again = await headrace("--nats", stack.url, "backup", str(saved))
            assert again.returncode == 1 and "is not empty" in again.stderr
            stream = (saved / "REQUESTS.snapshot").read_bytes()
            (saved / "REQUESTS.snapshot").write_bytes(stream[:-1])
            elsewhere = {"HEADRACE_METER_LEDGER_URL": f"sqlite:///{tmp_path / 'other' / 'ledger.sqlite'}"}
            refused = await headrace("--nats", stack.url, "restore", str(saved), "--replace", **elsewhere)
            assert refused.returncode == 1 and "REQUESTS.snapshot" in refused.stderr and "cut short or changed" in refused.stderr
            (saved / "REQUESTS.snapshot").write_bytes(stream)
            refused = await headrace("--nats", stack.url, "restore", str(saved), "--replace", **elsewhere)
            assert refused.returncode == 1 and "services are at work (meter)" in refused.stderr
            stack.send(signal.SIGTERM, "meter-1")
            await eventually(lambda: not stack.services["meter-1"].alive, 30)
            refused = await headrace("--nats", stack.url, "restore", str(saved), **elsewhere)
            assert refused.returncode == 1 and "REQUESTS (1 messages)" in refused.stderr
            refused = await headrace("--nats", stack.url, "restore", str(saved), "--replace", HEADRACE_METER_LEDGER_URL=f"sqlite:///{stack.ledger}")
            assert refused.returncode == 0, refused.stderr
            refused = await headrace("--nats", stack.url, "restore", str(saved))
            assert refused.returncode == 1 and "ledger.sqlite' exists" in refused.stderr
            assert [stored.body for stored in (await content(bus, "REQUESTS")).values()] == [b"kept"]
            assert (await state_of(bus, "REQUESTS") or {})["last_seq"] == 1
            assert not (tmp_path / "other").exists()
    finally:
        await asyncio.to_thread(stack.end)


def _index(file: Path) -> dict[str, list[Row]]:
    """What stands in each table of an index, words included."""
    connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
    try:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")]
        return {name: sorted(connection.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr) for name in names}
    finally:
        connection.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("with_index", [True, False], ids=["index saved", "index made again"])
async def test_at_rest_streams_ledger_and_index_are_equal_after_everything_was_deleted(tmp_path: Path, with_index: bool) -> None:
    saved, index = tmp_path / "saved", tmp_path / "stack" / "index.sqlite"
    stack = Stack(tmp_path / "stack", environment={"HEADRACE_INDEXER_INDEX_URL": f"sqlite:///{index}", "HEADRACE_INDEXER_EMBEDDINGS": "off"})
    everything = (*SERVICES, "indexer")
    try:
        await stack.begin(services=everything)
        async with Outsider(stack.url) as outsider:
            for number in range(20):
                document = {"id": f"d{number}", "content": f"The heron number {number} watches the kingfisher."}
                await outsider.js.publish(f"llm.v1.document.acme.birds.d{number}", json.dumps(document).encode())
                await outsider.ask(f"r{number}", f"[[text Kingfisher {number}]] Which bird?")
            for number in range(20):
                await outsider.result(f"r{number}", within_s=40)
            for durable, stream in {"meter": "ATTEMPTS", "indexer-documents": "DOCUMENTS", "indexer-results": "RESULTS"}.items():
                await outsider.idle(durable, stream)
        found = await headrace("--json", "--nats", stack.url, "--tenant", "acme", "search", "kingfisher", "--limit", "50")
        assert len(_found(found.stdout)) == 40, found.stderr
        names = [name for name in order("llm") if name not in ("JOURNAL", "KV_HEALTH", "NOTICES")]  # leases and checks go on
        async with connected(stack.url) as bus:
            before = {name: await content(bus, name) for name in names}
        places = stack.environment if with_index else {**stack.environment, "HEADRACE_INDEXER_INDEX_URL": ""}
        if not with_index:
            stack.services["indexer-1"].stop()
        done = await headrace("--nats", stack.url, "backup", str(saved), **places)
        assert done.returncode == 0 and ("index is left out" in done.stderr) != with_index, done.stderr
        stack.send(signal.SIGTERM, *[f"{service}-1" for service in everything if stack.services[f"{service}-1"].alive])
        await eventually(lambda: not any(program.alive for program in stack.services.values()), 30)
        rows, indexed = ledger_of(stack.ledger), _index(index)
        await asyncio.to_thread(stack.server.stop)
        shutil.rmtree(stack.server.data_dir / "jetstream")
        for file in [*stack.folder.glob("ledger.sqlite*"), *stack.folder.glob("index.sqlite*")]:
            file.unlink()

        await stack.restart_server()
        done = await headrace("--nats", stack.url, "restore", str(saved), **stack.environment)
        assert done.returncode == 0, done.stderr
        async with connected(stack.url) as bus:
            assert {name: await content(bus, name) for name in names} == before
        assert ledger_of(stack.ledger) == rows
        assert not with_index or _index(index) == indexed
        for service in everything:
            stack.start(f"{service}-1")
        await asyncio.gather(*(stack.ready(f"{service}-1") for service in everything))
        async with Outsider(stack.url) as outsider:
            await outsider.idle("indexer-documents", "DOCUMENTS")
            await outsider.idle("indexer-results", "RESULTS")
            again = await headrace("--json", "--nats", stack.url, "--tenant", "acme", "search", "kingfisher", "--limit", "50")
            assert _found(again.stdout) == _found(found.stdout)
            assert await outsider.messages("DEAD_LETTERS") == 0
            assert await outsider.messages("COSTS") == len(before["COSTS"]) == len(stack.calls()) == 20
    finally:
        await asyncio.to_thread(stack.end)


def _found(answer: str) -> set[str]:
    """What was found, whatever its rank."""
    return {json.dumps([hit[name] for name in ("kind", "id", "snippet", "at")]) for hit in json.loads(answer)["hits"]}
