"""What it costs to be seen: CPU a request with everything off, and with metrics and spans to a live collector; requests/s when the collector is dead."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random, getrandbits
from typing import Any

from rich.progress import Progress

from bench.payload import document
from bench.ratios import cpu_s, many
from bench.relays import Pipeline
from tests.support.otlp import silent_collector
from tests.support.processes import Program
from tests.support.stack import SERVICES

WARM_UP, BATCHED_S = 500, 1.2
"""Spans leave in batches, once a second …"""
QUIET_S, QUIET_SHARE, LONGEST_S = 0.5, 0.05, 60.0
"""… and a burst is over when its services use so little of a core for so long, whatever else the machine does."""
EXPORT_MS = 5000
"""Metrics are exported twelve times as often as by default, so that some bursts have their exports."""
NOBODY = "http://127.0.0.1:9"
SAMPLED: Mapping[str, tuple[str, int | None]] = {
    "off": ("off", None),
    "unsampled": ("live", None),
    "one_percent": ("live", 100),
    "all": ("live", 1),
    "refused": ("refused", 100),
    "silent": ("silent", 100),
}
"""By variant: whose collector, and one of how many requests is sampled."""


class Observed(Pipeline):
    """A pipeline whose producer decides what is sampled."""

    sampled_one_in: int | None = None
    _asked = 0

    async def ask(self, request_id: str, lane: str = "standard") -> None:
        self._waiting[request_id] = answered = asyncio.get_running_loop().create_future()
        self._asked += 1
        sampled = self.sampled_one_in is not None and self._asked % self.sampled_one_in == 0
        headers = {"traceparent": f"00-{getrandbits(128) | 1:032x}-{getrandbits(64) | 1:016x}-{'01' if sampled else '00'}"}
        await self.bus.publish(self.bus.subjects.request("acme", "chat", lane), document(request_id), headers)
        await answered

    def cpu_s(self) -> float:
        """What the services have used so far; server, collector and driver are not theirs."""
        return sum(cpu_s(pid) for name, pid in self.processes.items() if name.rpartition("-")[0] in SERVICES)


async def observing(rounds: int, requests: int, progress: Progress) -> dict[str, Any]:
    """Bursts of every variant in turn, on pipelines that all stand ready."""
    found: dict[str, list[tuple[float, float]]] = {variant: [] for variant in SAMPLED}
    task = progress.add_task("what it costs to be seen", total=rounds * len(SAMPLED))
    async with _pipelines() as pipelines:
        for pipeline in pipelines.values():
            await many(pipeline, "warm", WARM_UP)
        last, chance = "", Random(1)
        for number in range(rounds):
            order = chance.sample(list(SAMPLED), len(SAMPLED))  # who comes after whom changes
            if order[0] == last:  # what ran a moment ago is still in the processor's caches: nobody comes after itself
                order.reverse()
            last = order[-1]
            for variant in order:
                collector, one_in = SAMPLED[variant]
                pipeline = pipelines[collector]
                pipeline.sampled_one_in = one_in
                found[variant].append(await asyncio.wait_for(_burst(pipeline, f"{variant}-{number}", requests), 300))
                progress.advance(task)
    return {"observability": summary(found)}


async def _burst(pipeline: Observed, name: str, requests: int) -> tuple[float, float]:
    """CPU µs a request of all services together, until what they have to tell is told, and requests/s."""
    before, began = pipeline.cpu_s(), time.perf_counter()
    await many(pipeline, name, requests)
    took_s = time.perf_counter() - began
    await _told_all(pipeline)
    return (pipeline.cpu_s() - before) / requests * 1e6, requests / took_s


async def _told_all(pipeline: Observed) -> None:
    """Wait until the services have nothing left to do: what one burst has to tell must not be paid for by the next."""
    await asyncio.sleep(BATCHED_S)
    async with asyncio.timeout(LONGEST_S):
        while True:
            before = pipeline.cpu_s()
            await asyncio.sleep(QUIET_S)
            if pipeline.cpu_s() - before < QUIET_S * QUIET_SHARE:
                return


def summary(found: Mapping[str, list[tuple[float, float]]]) -> dict[str, Any]:
    """By the best round of each variant: whatever else a machine does only adds CPU and takes speed away."""
    cpu = {variant: min(cpu_us for cpu_us, _ in rounds) for variant, rounds in found.items()}
    rps = {variant: max(rate for _, rate in rounds) for variant, rounds in found.items()}
    seen, dead = ("off", "unsampled", "one_percent", "all"), ("refused", "silent")
    figures: dict[str, Any] = {f"{variant}_cpu_us": round(cpu[variant]) for variant in seen}
    figures |= {f"{variant}_ratio": round(cpu[variant] / cpu["off"], 3) for variant in seen[1:]}
    figures |= {f"{variant}_collector_rps_ratio": round(rps[variant] / rps["one_percent"], 3) for variant in dead}
    figures |= {f"{variant}_collector_cpu_ratio": round(cpu[variant] / cpu["one_percent"], 3) for variant in dead}
    return figures | {"live_collector_rps": round(rps["one_percent"]), "off_rps": round(rps["off"]), "rounds": len(found["off"])}


@asynccontextmanager
async def _pipelines() -> AsyncIterator[dict[str, Observed]]:
    """One with everything off, the others with a collector that lives, refuses, or accepts and never answers."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headrace-bench-")))
        collector = Program("bench.collector", [], folder / "collector.log", {})
        stack.callback(collector.stop)
        port = (await collector.says("port ")).split()[-1]
        collectors = {"off": None, "live": f"http://127.0.0.1:{port}", "refused": NOBODY, "silent": stack.enter_context(silent_collector())}
        found = {}
        for name, endpoint in collectors.items():
            environment = {} if endpoint is None else {"OTEL_SDK_DISABLED": "false", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
            found[name] = Observed(folder / name, http=False, environment={**environment, "OTEL_METRIC_EXPORT_INTERVAL": str(EXPORT_MS)})
            stack.push_async_callback(found[name].end)
            await found[name].begin()
        yield found
