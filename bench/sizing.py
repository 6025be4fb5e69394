"""What a request leaves behind: bytes of every stream, of the server's memory, of the ledger; and the number of consumers (docs/sizing.md)."""

import asyncio
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from rich.progress import Progress

from bench.backlog import alive, publish, rss_bytes, until_metered
from bench.payload import document
from bench.ratios import many
from bench.relays import Pipeline
from bus.connection import Bus
from bus.server import free_port
from tests.support.cluster import Cluster
from tests.support.processes import eventually
from tests.support.stack import Stack

IN_FLIGHT = 512
WAITING = 2_000
"""Requests of which the calls are left to wait, to weigh a call."""
ON_A_CLUSTER = 10
"""A request on three replicas costs three times the disk of one: so many fewer show it."""
MILLION = 1_000_000
DOCUMENTS = 4_000
COMMON = "the request goes to a router which asks one provider and keeps every answer that was paid for until somebody reads it again"


@dataclass(frozen=True)
class Weighed:
    """What all hold now. `alive` is the server's live heap, None where it is not asked; `disk` is by file system, of one node."""

    streams: Mapping[str, int]
    disk: Mapping[str, int]
    resident: Mapping[str, int]
    alive: int | None
    ledger: int


async def sizing(requests: int, progress: Progress) -> dict[str, Any]:
    """Bytes a request on one server, and on three replicas; between two points, so that what is there anyway does not count."""
    one = await _on_one_server(requests, progress)
    three = await _on_three(max(requests // ON_A_CLUSTER, 1_000), progress)
    index = await _index(progress)
    return {"request_bytes": len(document("sized-00000")), "one_server": one, "three_replicas": three, "index": index}


async def _on_one_server(requests: int, progress: Progress) -> dict[str, Any]:
    task = progress.add_task(f"sizing, {requests:,} requests", total=3)
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        pipeline = Pipeline(Path(folder), http=False)
        pipeline.stack.server.settings = f"prof_port: {(profile := free_port())}"
        try:
            await pipeline.begin()
            store = pipeline.stack.server.data_dir / "jetstream"
            before, after = await _between(pipeline, requests, store, profile)
            progress.advance(task, 2)
            call = await _waiting_call(pipeline, progress)
            progress.advance(task)
            found = _a_request(before, after, requests - requests // 2)
            ledger = round((after.ledger - before.ledger) / (requests - requests // 2))
            return {"requests": requests, **found, "ledger_bytes": ledger, "waiting_call_bytes": call, "consumers": await _consumers(pipeline)}
        finally:
            await pipeline.end()
            progress.remove_task(task)


async def _on_three(requests: int, progress: Progress) -> dict[str, Any]:
    task = progress.add_task(f"sizing, {requests:,} requests on three replicas", total=1)
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        cluster = Cluster(Path(folder) / "cluster")
        pipeline = Pipeline(Path(folder), http=False, cluster=cluster, copies=3)
        try:
            await pipeline.begin()
            pipeline.processes |= {name: node.process.pid for name, node in cluster.nodes.items() if node.process is not None}
            before, after = await _between(pipeline, requests, Path(folder) / "cluster" / "n1-store", None)
            return {"requests": requests, **_a_request(before, after, requests - requests // 2)}
        finally:
            await pipeline.end()
            progress.remove_task(task)


async def _index(progress: Progress) -> dict[str, Any]:
    """Bytes of the index for a document of 1 KB: its text, its words and its vector."""
    task = progress.add_task(f"sizing, {DOCUMENTS:,} documents", total=2)
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name:
        folder = Path(name)
        stack = Stack(folder, environment={"HEADRACE_INDEXER_INDEX_URL": f"sqlite:///{folder / 'index.sqlite'}"})
        try:
            await stack.begin(services=("indexer",))
            bus, weights = await stack.bus(), []
            for half in (0, 1):
                numbers = range(half * DOCUMENTS // 2, (half + 1) * DOCUMENTS // 2)
                await asyncio.gather(*(bus.publish(bus.subjects.document("acme", "sized", f"d{number}"), _text(number)) for number in numbers))
                await eventually(partial(_indexed, bus, numbers.stop), 300, 0.5, what=f"{numbers.stop} documents indexed")
                weights.append(_on_disk(folder, "index.sqlite*"))
                progress.advance(task)
            stored = (await bus.nc.jetstream().stream_info("DOCUMENTS")).state
            await bus.close()
            return {"document_bytes": round((weights[1] - weights[0]) / (DOCUMENTS // 2)), "stream_bytes": round(stored.bytes / stored.messages)}
        finally:
            await asyncio.to_thread(stack.end)
            progress.remove_task(task)


def _text(number: int) -> bytes:
    """A document of 1 KB that is like no other."""
    random, letters = Random(number), "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(random.choices(letters, k=random.randint(3, 8))) for _ in range(4)] + COMMON.split()
    content = " ".join(random.choice(words) for _ in range(160))
    return json.dumps({"id": f"d{number}", "content": content}).encode()


async def _indexed(bus: Bus, documents: int) -> bool:
    """Whether so many are in the index, with all their vectors."""
    answer = json.loads((await bus.request(bus.subjects.query("indexed.acme"), b"{}")).data)
    return bool(answer["documents"] >= documents and not answer["without_vector"])


async def _between(pipeline: Pipeline, requests: int, store: Path, profile: int | None) -> tuple[Weighed, Weighed]:
    """After half of the requests, and after all of them."""
    await many(pipeline, "first", requests // 2, IN_FLIGHT)
    before = await _weighed(pipeline, store, profile)
    await many(pipeline, "second", requests - requests // 2, IN_FLIGHT)
    return before, await _weighed(pipeline, store, profile)


async def _weighed(pipeline: Pipeline, store: Path, profile: int | None) -> Weighed:
    await until_metered(pipeline)
    await _emptied(pipeline)
    streams = {str(info.config.name): info.state.bytes for info in await pipeline.bus.nc.jetstream().streams_info()}
    folders = {folder.name: _on_disk(folder) for folder in store.glob("jetstream/*/streams/*")}
    resident = {name: rss_bytes(pid) for name, pid in pipeline.processes.items()}
    heap = None if profile is None else await asyncio.to_thread(alive, profile)
    return Weighed(streams, folders, resident, heap, _on_disk(pipeline.stack.folder, "ledger.sqlite*"))


async def _emptied(pipeline: Pipeline) -> None:
    """Until no call is left: the last acknowledgements may still be on their way."""

    async def empty() -> bool:
        return not (await pipeline.bus.nc.jetstream().stream_info("CALLS")).state.messages

    await eventually(empty, 60, what="CALLS empty")


def _on_disk(folder: Path, pattern: str = "**/*") -> int:
    """What the file system gave to its files."""
    return sum(file.stat().st_blocks * 512 for file in folder.glob(pattern) if file.is_file())


def _a_request(before: Weighed, after: Weighed, requests: int) -> dict[str, Any]:
    def each(old: Mapping[str, int], new: Mapping[str, int]) -> dict[str, int]:
        return {stream: round((new[stream] - old.get(stream, 0)) / requests) for stream in sorted(new) if new[stream] - old.get(stream, 0) > requests}

    found: dict[str, Any] = {
        "stream_bytes": each(before.streams, after.streams),
        "disk_bytes": each(before.disk, after.disk),
        "resident_mb": {name: round(size / 1e6) for name, size in after.resident.items()},
    }
    found["gb_a_million"] = round(sum(found["stream_bytes"].values()) * MILLION / 1e9, 2)
    if before.alive is not None and after.alive is not None:
        found["server_live_bytes"] = round((after.alive - before.alive) / requests)
    return found


async def _waiting_call(pipeline: Pipeline, progress: Progress) -> int:
    """What a call weighs while it waits: the adapters are stopped for as long."""
    pipeline.stack.pause("adapters-1")
    try:
        await publish(pipeline.bus, "waiting", WAITING, progress)

        async def all_there() -> bool:
            return bool((await pipeline.bus.nc.jetstream().stream_info("CALLS")).state.messages >= WAITING)

        await eventually(all_there, 120, what="all calls waiting")
        state = (await pipeline.bus.nc.jetstream().stream_info("CALLS")).state
        return round(state.bytes / state.messages)
    finally:
        pipeline.stack.resume("adapters-1")


async def _consumers(pipeline: Pipeline) -> int:
    return sum(info.state.consumer_count for info in await pipeline.bus.nc.jetstream().streams_info())
