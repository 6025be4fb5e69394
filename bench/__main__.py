"""Run the benchmarks; the last line of standard output is one JSON object."""

import argparse
import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

from bench import prompt_cache
from bench.lanes import lanes, throughput
from bench.protocols import protocols
from tests.support.stack import Stack

PROVIDER_DELAY_S = 0.05


async def _measured(backlog: int, requests: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        stack = Stack(Path(folder), provider_delay_s=PROVIDER_DELAY_S)
        try:
            await stack.begin()
            figures = await throughput(stack.server.url, requests)
            print(json.dumps(figures), flush=True)
            figures |= await lanes(stack.server.url, backlog)
        finally:
            stack.end()
    return figures | {"prompt_cache": prompt_cache.figures()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--backlog", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=3_000)
    options = parser.parse_args()
    figures = protocols()
    print(json.dumps(figures), flush=True)
    print(json.dumps(figures | asyncio.run(_measured(options.backlog, options.requests))))


if __name__ == "__main__":
    main()
