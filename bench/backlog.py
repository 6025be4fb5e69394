"""Whether a long queue costs more than a short one, and what stays in memory after many requests."""

import asyncio
import itertools
import re
import statistics
import tempfile
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import Progress

from bench.payload import document
from bench.ratios import cpu_s, many
from bench.relays import Pipeline
from bus.connection import Bus
from bus.server import free_port

SHORT, AT_ONCE = 1_000, 500
WINDOWS, WINDOW_S = 5, 1.0
CONSUMERS: Mapping[str, tuple[str, str]] = {
    "router-1": ("REQUESTS", "router-standard"),
    "adapters-1": ("CALLS", "adapter-fake-standard"),
    "validator-1": ("ATTEMPTS", "validator-standard"),
    "meter-1": ("ATTEMPTS", "meter"),
}
EARLY, LATE = 20_000, 100_000
STORED_REQUEST_BYTES = 3 * 440 + 5 * 38
"""What a request that is kept takes of the server's live memory: three subjects, five messages (docs/sizing.md)."""
LIVE = "nats-server, live"


@dataclass(frozen=True)
class Reading:
    """CPU seconds of each process so far, and how many messages each service has been given."""

    cpu_s: dict[str, float]
    taken: dict[str, int]


async def reading(pipeline: Pipeline) -> Reading:
    js = pipeline.bus.nc.jetstream()
    taken = {}
    for service, (stream, durable) in CONSUMERS.items():
        taken[service] = (await js.consumer_info(stream, durable)).delivered.consumer_seq or 0
    return Reading({name: cpu_s(pid) for name, pid in pipeline.processes.items()}, taken)


def cost_us(before: Reading, after: Reading) -> float:
    """CPU µs a request: each service by what it took itself, the server by what all took on average."""
    counts = {service: max(1, after.taken[service] - before.taken[service]) for service in CONSUMERS}
    own = sum((after.cpu_s[service] - before.cpu_s[service]) / count for service, count in counts.items())
    server = (after.cpu_s["nats-server"] - before.cpu_s["nats-server"]) / statistics.mean(counts.values())
    return (own + server) * 1e6


def rss_bytes(pid: int) -> int:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) * 1024


async def publish(bus: Bus, name: str, count: int, progress: Progress) -> None:
    """So many requests into the standard lane."""
    task = progress.add_task(f"publishing {count:,}", total=count)
    for begin in range(0, count, AT_ONCE):
        numbers = range(begin, min(begin + AT_ONCE, count))
        await asyncio.gather(*(bus.publish(bus.subjects.request("acme", "chat", "standard"), document(f"{name}-{number}")) for number in numbers))
        progress.advance(task, len(numbers))


async def until_stored(pipeline: Pipeline, results: int, within_s: float = 600) -> None:
    """Wait until so many results are stored."""
    js, counted = pipeline.bus.nc.jetstream(), 0
    async with asyncio.timeout(within_s):
        for pause_s in itertools.repeat(0.1):
            counted = (await js.stream_info("RESULTS")).state.messages
            if counted >= results:
                return
            await asyncio.sleep(pause_s)


async def until_metered(pipeline: Pipeline, within_s: float = 600) -> None:
    """Wait until the meter has nothing left to do."""
    js = pipeline.bus.nc.jetstream()
    async with asyncio.timeout(within_s):
        for pause_s in itertools.repeat(0.1):
            info = await js.consumer_info("ATTEMPTS", "meter")
            if not info.num_pending and not info.num_ack_pending:
                return
            await asyncio.sleep(pause_s)


async def backlog(total: int, progress: Progress) -> dict[str, Any]:
    """Cost a request with 1,000 waiting and with `total` waiting, and the memory of every process after 20,000 and after 100,000."""
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        pipeline = Pipeline(Path(folder), http=False)
        try:
            pipeline.stack.server.settings = f"prof_port: {(profile_port := free_port())}"
            await pipeline.begin()
            task = progress.add_task("memory after many requests", total=3)
            await many(pipeline, "early", EARLY, SHORT)
            early = await _resident(pipeline, profile_port)
            progress.advance(task)
            flow = asyncio.create_task(many(pipeline, "late", LATE - EARLY, SHORT))
            await until_stored(pipeline, EARLY + SHORT)
            short = await _windows(pipeline)
            await flow
            late = await _resident(pipeline, profile_port)
            progress.advance(task)
            long = await _while_many_wait(pipeline, total, progress)
            progress.advance(task)
        finally:
            await pipeline.end()
    return {
        "backlog_short_us": round(statistics.median(short)),
        "backlog_long_us": round(statistics.median(long)),
        "backlog_ratio": round(statistics.median(long) / statistics.median(short), 3),
        "memory": _memory(early, late),
    }


async def _windows(pipeline: Pipeline) -> list[float]:
    costs = []
    for _ in range(WINDOWS):
        before = await reading(pipeline)
        await asyncio.sleep(WINDOW_S)
        costs.append(cost_us(before, await reading(pipeline)))
    return costs


async def _resident(pipeline: Pipeline, profile_port: int) -> dict[str, int]:
    """Bytes of every process, when nothing is on its way; of the server also what is alive, since its collector leaves room for as much again."""
    await until_metered(pipeline)
    resident = {name: rss_bytes(pid) for name, pid in pipeline.processes.items()}
    return {**resident, LIVE: await asyncio.to_thread(alive, profile_port)}


def alive(profile_port: int) -> int:
    """Bytes in the server's heap after a collection."""
    with urllib.request.urlopen(f"http://127.0.0.1:{profile_port}/debug/pprof/heap?gc=1&debug=1", timeout=30) as answer:
        found = re.search(rb"# HeapAlloc = (\d+)", answer.read())
    if found is None:
        raise RuntimeError("the server's profile does not tell its heap")
    return int(found[1])


async def _while_many_wait(pipeline: Pipeline, total: int, progress: Progress) -> list[float]:
    """The first windows of a long queue, after the services have got going."""
    pipeline.stack.pause("router-1")
    stored = (await pipeline.bus.nc.jetstream().stream_info("RESULTS")).state.messages
    await publish(pipeline.bus, "long", total, progress)
    pipeline.stack.resume("router-1")
    await until_stored(pipeline, stored + total // 20)
    return await _windows(pipeline)


def _memory(early: Mapping[str, int], late: Mapping[str, int]) -> dict[str, Any]:
    """Megabytes by process; for the server also what its subjects and messages explain of the growth."""
    explained = (LATE - EARLY) * STORED_REQUEST_BYTES
    found: dict[str, Any] = {}
    for name, before in early.items():
        growth = late[name] - before - {LIVE: explained, "nats-server": 2 * explained}.get(name, 0)
        found[name] = {"early_mb": round(before / 1e6, 1), "late_mb": round(late[name] / 1e6, 1), "growth": round(max(0, growth) / before, 3)}
    found["explained_by_subjects_mb"] = round(explained / 1e6, 1)
    return found
