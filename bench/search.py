"""A tenant's documents indexed, searched and indexed again: `python -m bench.search [--documents N]`; the last line is JSON."""

import argparse
import asyncio
import itertools
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console
from rich.progress import Progress

from bus.connection import Bus
from bus.server import free_port
from cli.batches import Patient
from tests.support.searching import embedded
from tests.support.stack import Stack, configuration

DOCUMENTS, QUERIES, CONCURRENCY = 50_000, 300, 128
WORDS, WORDS_A_DOCUMENT = 20_000, 80
TENANT, COLLECTION = "acme", "bench"
PARTS = ("half", "percent", "number")
"""Metadata that many, few or one of the documents have in common."""


def texts(count: int) -> list[str]:
    """Documents of 80 words whose frequencies are those of a language (Zipf), always the same."""
    rng = random.Random(1)
    syllables = ["ka", "re", "no", "ti", "mu", "sel", "dor", "vin", "pla", "che", "os", "ur"]
    words = ["".join(rng.choices(syllables, k=rng.randint(1, 4))) + str(number) * (number > 2000) for number in range(WORDS)]
    weights = list(itertools.accumulate(1 / (number + 1) for number in range(WORDS)))
    return [f"{' '.join(rng.choices(words, cum_weights=weights, k=WORDS_A_DOCUMENT))} page{number}." for number in range(count)]


async def search(documents: int, queries: int, progress: Progress) -> dict[str, Any]:
    """Documents/s until all can be found by words and meaning; query times; what indexing the same again costs; memory."""
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        port = free_port()
        stack = Stack(Path(folder), environment={"HEADRACE_INDEXER_DATA_DIR": folder, "HEADRACE_PROBE_PORT": str(port), "OTEL_SDK_DISABLED": "false"})
        try:
            await stack.start_servers()
            await stack.begin_services(1, configuration("http://127.0.0.1:1/v1"), ("indexer",))
            bus = await stack.bus()
            some = await asyncio.to_thread(texts, documents)
            pid = stack.services["indexer-1"].pid
            before = _cpu_s(pid)
            first_s = await _indexed(bus, some, progress, "index")
            first_cpu_s = _cpu_s(pid) - before
            at_first = await asyncio.to_thread(embedded, port)
            asked = [await _ask(bus, _question(some, number)) for number in range(queries + 1)][1:]  # the first loads the vectors
            words = [await _ask(bus, {**_question(some, number), "by": "words"}) for number in range(queries // 3)]
            filtered = {
                part: [await _ask(bus, {**_question(some, number), **_filter(part, number, documents)}) for number in range(queries // 3)] for part in PARTS
            }
            before = _cpu_s(pid)
            again_s = await _indexed(bus, some, progress, "index the same again")
            figures = {
                "search_documents": documents,
                "search_documents_per_s": round(documents / first_s),
                "search_again_documents_per_s": round(documents / again_s),
                "search_cpu_us_per_document": round(first_cpu_s / documents * 1e6),
                "search_again_cpu_us_per_document": round((_cpu_s(pid) - before) / documents * 1e6),
                "search_embedded": at_first,
                "search_again_embedded": await asyncio.to_thread(embedded, port) - at_first,
                **_times("search_ms", asked),
                **_times("search_words_ms", words),
                **{name: figure for part, times in filtered.items() for name, figure in _times(f"search_filtered_{part}_ms", times).items()},
                "search_indexer_mb": _peak_mb(pid),
                "search_database_mb": round(sum(path.stat().st_size for path in Path(folder).glob("headrace-index.db*")) / 1e6),
            }
            await bus.close()
            return figures
        finally:
            await asyncio.to_thread(stack.end)


async def _indexed(bus: Bus, some: Sequence[str], progress: Progress, what: str) -> float:
    """Publish all and wait until nothing is left to do; seconds."""
    task, began, gate, last = progress.add_task(what, total=len(some)), time.monotonic(), asyncio.Semaphore(CONCURRENCY), 0
    half, patient = len(some) // 2, Patient()

    async def put(number: int, text: str) -> None:
        nonlocal last
        body = {"id": f"d{number}", "content": text, "metadata": {"half": str(int(number < half)), "percent": str(number % 100), "number": str(number)}}
        async with gate:
            ack = await patient.do(partial(bus.publish, bus.subjects.document(TENANT, COLLECTION, f"d{number}"), json.dumps(body).encode()))
        last = max(last, ack.seq)

    publishing = asyncio.gather(*(put(number, text) for number, text in enumerate(some)))
    while True:
        await asyncio.sleep(0.2)
        state = json.loads((await bus.request(bus.subjects.query(f"indexed.{TENANT}"), b"{}", timeout_s=60)).data)
        progress.update(task, completed=len(some) - max(0, last - state["stream_floor"]) if publishing.done() else state["documents"])
        if publishing.done() and state["stream_floor"] >= last and not state["without_vector"]:
            await publishing
            progress.remove_task(task)
            return time.monotonic() - began


def _question(some: Sequence[str], number: int) -> dict[str, Any]:
    """Some words of a document."""
    rng = random.Random(number)
    return {"text": " ".join(rng.sample(rng.choice(some).split(), rng.randint(1, 6)))}


def _filter(part: str, number: int, documents: int) -> dict[str, Any]:
    """What half of all documents pass, one of a hundred, or one."""
    return {"metadata": {part: {"half": "1", "percent": str(number % 100), "number": str(number % documents)}[part]}}


async def _ask(bus: Bus, question: dict[str, Any]) -> float:
    """Milliseconds from question to answer, over the bus."""
    began = time.perf_counter()
    answer = json.loads((await bus.request(bus.subjects.query(f"search.{TENANT}"), json.dumps(question).encode(), timeout_s=60)).data)
    if not answer["hits"]:
        raise RuntimeError(f"a question whose words stand in a document found nothing: {answer['error']!r}")
    return (time.perf_counter() - began) * 1000


def _times(name: str, asked: Sequence[float]) -> dict[str, float]:
    return {f"{name}_p50": round(statistics.median(asked), 1), f"{name}_p99": round(statistics.quantiles(asked, n=100)[98], 1)}


def _cpu_s(pid: int) -> float:
    """What a process has used of the processors; on a busy machine this says more than the time that passed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mb(pid: int) -> int:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return round(int(line.split()[1]) / 1000)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.search")
    parser.add_argument("--documents", type=int, default=DOCUMENTS)
    parser.add_argument("--queries", type=int, default=QUERIES)
    options = parser.parse_args()
    with Progress(console=Console(stderr=True)) as progress:
        print(json.dumps(uvloop.run(search(options.documents, options.queries, progress))))


if __name__ == "__main__":
    main()
