"""Many results awaited over one subscription: what stood there before, what comes, and what went by while the connection was away."""

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bus.awaiting import NoResult, Results
from bus.connection import Bus
from bus.provision import provision
from bus.results import publish_result
from bus.server import EmbeddedServer
from contracts.result import ResultV1
from tests.support.processes import eventually
from tests.support.wire import Wire


@dataclass
class Bench:
    """A server; a bus of those who publish, and one of a reader behind a wire that can be cut."""

    server: EmbeddedServer
    writer: Bus
    reader: Bus
    wire: Wire

    async def publish(self, *ids: str, tenant: str = "acme") -> None:
        for request_id in ids:
            done = ResultV1(request_id=request_id, tenant=tenant, kind="chat", status="succeeded", finished_at=datetime.now(UTC))
            assert await publish_result(self.writer, done)

    def subscriptions(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.server.monitor_port}/connz?subs=1", timeout=5) as answer:
            connections = json.load(answer)["connections"]
        return sum(len(one.get("subscriptions_list", [])) for one in connections)


@asynccontextmanager
async def bench(folder: Path) -> AsyncIterator[Bench]:
    server = EmbeddedServer(folder / "nats")
    await asyncio.to_thread(server.start)
    try:
        async with Wire(server.port) as wire:
            writer, reader = Bus(server.url), Bus(f"nats://127.0.0.1:{wire.port}")
            await writer.connect(timeout_s=10)
            await reader.connect(timeout_s=10)
            await provision(writer)
            yield Bench(server, writer, reader, wire)
            await reader.close()
            await writer.close()
    finally:
        await asyncio.to_thread(server.stop)


async def test_results_that_stood_there_and_results_to_come_are_awaited_over_one_subscription(tmp_path: Path) -> None:
    async with bench(tmp_path) as here:
        await here.publish("before")
        none = here.subscriptions()
        async with Results(here.reader, "acme") as results, asyncio.TaskGroup() as group:
            tasks = [group.create_task(results.result(request_id, 20)) for request_id in ("before", "job-7", "job-7", *(f"job-{n}" for n in range(500)))]
            assert (await tasks[0]).request_id == "before"
            assert here.subscriptions() == none + 1
            await here.publish("job-7", tenant="beta")
            await here.publish("job-0")
            await tasks[3]
            assert [task for task in tasks if task.done()] == [tasks[0], tasks[3]]
            await here.publish(*(f"job-{n}" for n in range(1, 500)))
        assert [task.result().request_id for task in tasks[1:4]] == ["job-7", "job-7", "job-0"]
        assert {task.result().tenant for task in tasks} == {"acme"}
        await eventually(lambda: here.subscriptions() == none, 5)


async def test_what_went_by_while_the_connection_was_away_is_read_as_soon_as_it_is_back(tmp_path: Path) -> None:
    async with bench(tmp_path) as here, Results(here.reader, "acme") as results, asyncio.TaskGroup() as group:
        task = group.create_task(results.result("missed", 20))
        await asyncio.sleep(2.3)  # three looks in vain; the next one would come six seconds later
        await here.wire.cut()
        await eventually(lambda: not here.reader.nc.is_connected, 5)
        await here.publish("missed")
        await here.wire.mend()
        await eventually(task.done, 3, what="the missed result")
        assert task.result().request_id == "missed"


async def test_no_result_in_time_says_where_to_read_it_later(tmp_path: Path) -> None:
    async with bench(tmp_path) as here, Results(here.reader, "acme") as results:
        with pytest.raises(NoResult, match="headrace results never"):
            await results.result("never", 0.3)
