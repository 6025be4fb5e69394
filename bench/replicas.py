"""What a second core with a second replica of every service adds: all on one core, server and driver too, against two sets on two cores."""

import asyncio
import os
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.progress import Progress

from bench.ratios import measured
from bench.relays import Pipeline

ROUNDS, IN_FLIGHT = 3, 512
"""Enough on their way that twice as many processes still find several messages whenever they look."""


async def replicas(requests: int, progress: Progress) -> dict[str, Any]:
    """Requests/s of one set of services on one core, of two sets on two cores, and of one set that has both cores to itself."""
    found: dict[str, list[float]] = {"one_on_one_core": [], "two_on_two_cores": [], "one_on_two_cores": []}
    task = progress.add_task("replicas", total=ROUNDS * len(found))
    for _ in range(ROUNDS):
        for name, rates in found.items():
            rates.append(await _rps(2 if name.startswith("two") else 1, requests, cores=1 if name.endswith("one_core") else 2))
            progress.advance(task)
    medians = {name: round(statistics.median(rates)) for name, rates in found.items()}
    return {
        "replicas_rps": medians,
        "replicas_ratio": round(medians["two_on_two_cores"] / medians["one_on_one_core"], 2),
        "replicas_ratio_same_cores": round(medians["two_on_two_cores"] / medians["one_on_two_cores"], 2),
    }


async def _rps(replicas: int, requests: int, *, cores: int) -> float:
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder, _on(cores):  # what is started here inherits its cores
        pipeline = Pipeline(Path(folder), http=False, replicas=replicas)
        try:
            await pipeline.begin()
            return float((await asyncio.wait_for(measured(pipeline, requests, 1, IN_FLIGHT), 300))["rps"])
        finally:
            await pipeline.end()


@contextmanager
def _on(cores: int) -> Iterator[None]:
    """This process, and all that it starts, on the first so many cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(before)[:cores]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
