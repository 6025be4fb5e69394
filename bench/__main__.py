"""Run the benchmarks; the last line of standard output is one JSON object."""

import argparse
import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console
from rich.progress import Progress

from bench import prompt_cache, ratios
from bench.backlog import backlog
from bench.lanes import lanes
from bench.observing import observing
from bench.protocols import protocols
from bench.replicas import replicas
from bench.search import search
from bench.sizing import sizing
from tests.support.stack import Stack

PROVIDER_DELAY_S = 0.05
Part = Callable[[argparse.Namespace, Progress], Awaitable[dict[str, Any]]]


async def _ratios(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    return ratios.summary(await ratios.rounds(options.rounds, options.requests, options.one_by_one, progress))


async def _lanes(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    task = progress.add_task(f"an interactive request behind {options.backlog:,}", total=None)
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        stack = Stack(Path(folder), provider_delay_s=PROVIDER_DELAY_S)
        try:
            await stack.begin()
            return await lanes(stack.server.url, options.backlog)
        finally:
            await asyncio.to_thread(stack.end)
            progress.remove_task(task)


async def _backlog(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    return await backlog(options.backlog, progress)


async def _replicas(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    return await replicas(options.requests, progress)


async def _observing(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    return await observing(options.rounds * 2, options.requests // 2, progress)


async def _sizing(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    return await sizing(options.sized, progress)


async def _protocols(_: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    task = progress.add_task("protocols beside the official SDKs", total=None)
    try:
        return await asyncio.to_thread(protocols)
    finally:
        progress.remove_task(task)


async def _prompt_cache(*_: object) -> dict[str, Any]:
    return {"prompt_cache": await asyncio.to_thread(prompt_cache.figures)}


async def _search(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    return await search(options.documents, 200, progress)


PARTS: Mapping[str, Part] = {
    "ratios": _ratios,
    "lanes": _lanes,
    "backlog": _backlog,
    "replicas": _replicas,
    "observing": _observing,
    "sizing": _sizing,
    "protocols": _protocols,
    "prompt_cache": _prompt_cache,
    "search": _search,
}


async def _measured(options: argparse.Namespace) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    with Progress(console=Console(stderr=True)) as progress:
        for name in options.only or PARTS:
            found = await PARTS[name](options, progress)
            progress.console.print_json(json.dumps({name: found}))
            figures |= found
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--only", action="append", choices=PARTS, help="this part alone; may be given several times")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=3_000)
    parser.add_argument("--one-by-one", type=int, default=100, help="requests whose latency is measured, one at a time")
    parser.add_argument("--backlog", type=int, default=100_000)
    parser.add_argument("--sized", type=int, default=50_000, help="requests of which is weighed what they leave behind")
    parser.add_argument("--documents", type=int, default=10_000, help="documents that are indexed and searched; `python -m bench.search` takes 50,000")
    print(json.dumps(uvloop.run(_measured(parser.parse_args()))))


if __name__ == "__main__":
    main()
