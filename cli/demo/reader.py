"""A process of its own that knows only the bus: reads the demo's results as they come and prints them as a table, and one trace."""

import asyncio
import sys

from bus.client import HeadraceClient
from bus.connection import Bus
from cli.records import events_of
from cli.show import console, results_table
from cli.tracing import tree
from contracts.result import ResultV1
from observability.logs import configure_logs

GIVE_UP_S = 120.0


async def read(url: str, traced: str, wanted: list[str]) -> int:
    bus = Bus(url, name="headrace-demo-reader")
    await bus.connect(timeout_s=10)
    found: dict[str, ResultV1] = {}
    client = HeadraceClient(bus)
    try:
        async with asyncio.timeout(GIVE_UP_S):
            async for result in client.results(1, follow=True):
                found[result.request_id] = result
                if set(wanted) <= set(found):
                    break
    except TimeoutError:
        print(f"no result of {', '.join(sorted(set(wanted) - set(found)))}", file=sys.stderr)
    console().print(results_table([found[one] for one in wanted if one in found], "Results, read off the bus by another process"))
    console().print(tree(traced, await events_of(bus, client.tenant, traced)))
    await bus.close()
    return 0 if set(wanted) <= set(found) else 1


if __name__ == "__main__":
    configure_logs("demo-reader", "ERROR")
    sys.exit(asyncio.run(read(sys.argv[1], sys.argv[2], sys.argv[3:])))
