"""Requests a second and CPU a request of the pipeline against its floor: interleaved rounds, medians."""

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.progress import Progress

from bench.relays import Floor, Pipeline, Relay

IN_FLIGHT = 128
WARM_UP = 200
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
MAKERS: Mapping[str, Callable[[Path], Relay]] = {
    "floor": lambda folder: Floor(folder, http=False),
    "pipeline": lambda folder: Pipeline(folder, http=False),
    "http_floor": lambda folder: Floor(folder, http=True),
    "http_pipeline": lambda folder: Pipeline(folder, http=True),
}


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


async def measured(relay: Relay, requests: int, one_by_one: int, in_flight: int = IN_FLIGHT) -> dict[str, Any]:
    """One round: requests/s with `in_flight` on their way, latency of one at a time, CPU µs a request by process."""
    await many(relay, "warm", WARM_UP)
    latencies_s = []
    for number in range(one_by_one):
        began = time.perf_counter()
        await relay.ask(f"one-{number}")
        latencies_s.append(time.perf_counter() - began)
    before = {name: cpu_s(pid) for name, pid in relay.processes.items()}
    own, began = time.process_time(), time.perf_counter()
    await many(relay, "flow", requests, in_flight)
    took_s = time.perf_counter() - began
    cpu = {name: (cpu_s(pid) - before[name]) / requests * 1e6 for name, pid in relay.processes.items()}
    cpu["driver"] = (time.process_time() - own) / requests * 1e6
    latencies_s.sort()
    return {
        "rps": requests / took_s,
        "p50_ms": latencies_s[len(latencies_s) // 2] * 1000,
        "p99_ms": latencies_s[int(len(latencies_s) * 0.99)] * 1000,
        "cpu_us": cpu,
    }


async def many(relay: Relay, name: str, requests: int, in_flight: int = IN_FLIGHT) -> None:
    """So many requests, `in_flight` at a time."""
    numbers = iter(range(requests))

    async def ask() -> None:
        for number in numbers:
            await relay.ask(f"{name}-{number}")

    await asyncio.gather(*(ask() for _ in range(in_flight)))


async def rounds(count: int, requests: int, one_by_one: int, progress: Progress) -> dict[str, list[dict[str, Any]]]:
    """The four, one after the other, `count` times."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in MAKERS}
    task = progress.add_task("pipeline against floor", total=count * len(MAKERS))
    for _ in range(count):
        for name, make in MAKERS.items():
            with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
                relay = make(Path(folder))
                try:
                    await relay.begin()
                    found[name].append(await asyncio.wait_for(measured(relay, requests, one_by_one), 300))
                finally:
                    await relay.end()
            progress.advance(task)
    return found


def summary(found: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Medians and their ratios; `ratio` is the smaller one."""

    def median(name: str, figure: str) -> float:
        return float(statistics.median(each[figure] for each in found[name]))

    def cpu(name: str) -> dict[str, int]:
        processes = found[name][0]["cpu_us"]
        return {process: round(statistics.median(each["cpu_us"][process] for each in found[name])) for process in processes}

    bus_ratio, http_ratio = median("pipeline", "rps") / median("floor", "rps"), median("http_pipeline", "rps") / median("http_floor", "rps")
    figures: dict[str, Any] = {
        "ratio": round(min(bus_ratio, http_ratio), 3),
        "bus_ratio": round(bus_ratio, 3),
        "http_ratio": round(http_ratio, 3),
        "floor_rps": round(median("floor", "rps")),
        "rps": round(median("pipeline", "rps")),
        "http_floor_rps": round(median("http_floor", "rps")),
        "http_rps": round(median("http_pipeline", "rps")),
        "cpu_us_by_service": {process.rpartition("-")[0] if process[-1].isdigit() else process: us for process, us in cpu("pipeline").items()},
        "http_cpu_us_by_service": {process.rpartition("-")[0] if process[-1].isdigit() else process: us for process, us in cpu("http_pipeline").items()},
        "floor_cpu_us": cpu("floor"),
        "rounds": len(found["floor"]),
    }
    for name in MAKERS:
        figures[f"{name}_p50_ms"], figures[f"{name}_p99_ms"] = round(median(name, "p50_ms"), 2), round(median(name, "p99_ms"), 2)
    figures["added_p50_ms"] = round(median("http_pipeline", "p50_ms") - median("http_floor", "p50_ms"), 2)
    figures["added_p99_ms"] = round(median("http_pipeline", "p99_ms") - median("http_floor", "p99_ms"), 2)
    return figures
