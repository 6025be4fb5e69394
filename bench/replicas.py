"""What a second replica of every service adds: one set of services on one core against two sets on two, server and driver free on both."""

import asyncio
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

from rich.progress import Progress

from bench.ratios import measured
from bench.relays import Pipeline

ROUNDS, IN_FLIGHT = 3, 512
"""Enough on their way that twice as many processes still find several messages whenever they look."""
BESIDE = ("nats-server", "provider")


async def replicas(requests: int, progress: Progress) -> dict[str, Any]:
    """Requests/s of one replica on a core, and of two on two cores; and of one and two that may use both cores."""
    found: dict[str, list[float]] = {"one_on_one_core": [], "two_on_two_cores": [], "one_unpinned": [], "two_unpinned": []}
    task = progress.add_task("replicas", total=ROUNDS * len(found))
    for _ in range(ROUNDS):
        for name, rates in found.items():
            rates.append(await _rps(2 if name.startswith("two") else 1, requests, pinned=not name.endswith("unpinned")))
            progress.advance(task)
    medians = {name: round(statistics.median(rates)) for name, rates in found.items()}
    return {
        "replicas_rps": medians,
        "replicas_ratio": round(medians["two_on_two_cores"] / medians["one_on_one_core"], 2),
        "replicas_ratio_unpinned": round(medians["two_unpinned"] / medians["one_unpinned"], 2),
    }


async def _rps(replicas: int, requests: int, *, pinned: bool) -> float:
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        pipeline = Pipeline(Path(folder), http=False, replicas=replicas)
        try:
            await pipeline.begin()
            if pinned:
                pin(pipeline)
            return float((await asyncio.wait_for(measured(pipeline, requests, 1, IN_FLIGHT), 300))["rps"])
        finally:
            await pipeline.end()


def pin(pipeline: Pipeline) -> None:
    """Replica n of each service runs on core n alone."""
    cores = sorted(os.sched_getaffinity(0))
    for name, pid in pipeline.processes.items():
        if name not in BESIDE:
            os.sched_setaffinity(pid, {cores[(int(name.rpartition("-")[2]) - 1) % len(cores)]})
