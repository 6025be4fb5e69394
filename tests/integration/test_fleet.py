"""Queues, streams, health and budgets, told by one process of the fleet, on a real server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bus.fleet
from bus import health
from bus.configuration import load
from bus.connection import Bus
from bus.fleet import Reporter
from bus.lease import LEASE_S
from bus.provision import ensure_consumer, provision
from bus.server import EmbeddedServer
from bus.streams import Consumer
from contracts.health import ProviderHealthV1
from observability import metrics
from observability.instruments import Gauge
from tests.support.metrics import recording_metrics
from tests.support.processes import eventually

CONFIG = load(
    """
version: 2
providers:
  - {id: far-away, type: openai, base_url: "http://127.0.0.1:9/v1", models: [{id: m}]}
  - {id: quiet, type: openai, base_url: "http://127.0.0.1:9/v1", models: [{id: m}]}
tenants: {acme: {budget_usd_per_day: "12.5"}, beta: {}}
"""
)
Fleet = tuple[EmbeddedServer, Bus, list[Reporter], list[asyncio.Task[None]]]
REQUESTS = ("REQUESTS", "router-bulk", "bulk", None)


@asynccontextmanager
async def fleet(folder: Path, processes: int = 1) -> AsyncIterator[Fleet]:
    """A server, a connection, and so many reporters, each with a connection of its own."""
    server = EmbeddedServer(folder / "nats", log=folder / "nats-server.log")
    await asyncio.to_thread(server.start)
    buses = [Bus(server.url, name=f"reporter-{number}") for number in range(processes + 1)]
    running: list[asyncio.Task[None]] = []
    kept, bus.fleet.LOOK_S = bus.fleet.LOOK_S, 0.5
    try:
        for each in buses:
            await each.connect(timeout_s=10)
        await provision(buses[0])
        with recording_metrics():
            reporters = [Reporter(each, lambda: CONFIG) for each in buses[1:]]
            running = [asyncio.create_task(reporter.run()) for reporter in reporters]
            yield server, buses[0], reporters, running
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
    finally:
        bus.fleet.LOOK_S = kept
        for each in buses:
            await each.close()
        await asyncio.to_thread(server.stop)


async def told(reporter: Reporter, gauge: Gauge, labels: tuple[str | None, ...], check: Any, within_s: float = 30) -> Any:
    """Wait until a gauge tells a value that the check takes."""

    def found() -> list[Any]:
        value = reporter.points(gauge).get(labels)
        return [value] if value is not None and check(value) else []

    return (await eventually(found, within_s, what=f"{gauge.declared.name} of {labels}; it tells {dict(reporter.points(gauge))}"))[0]


async def publish(connection: Bus, count: int) -> None:
    for number in range(count):
        await connection.publish(connection.subjects.request("acme", "chat", "bulk"), b'{"messages": []}%s' % (b" " * number))


async def test_depth_flight_and_age_of_a_queue_that_nobody_serves(tmp_path: Path) -> None:
    async with fleet(tmp_path) as (_, connection, [reporter], _):
        await publish(connection, 3)
        began = datetime.now(UTC)
        assert await told(reporter, metrics.QUEUE_DEPTH, REQUESTS, lambda value: value == 3) == 3
        await told(reporter, metrics.QUEUE_AGE, REQUESTS, lambda value: value > 1)
        pull = await connection.nc.jetstream().pull_subscribe_bind("router-bulk", "REQUESTS")
        first, second = await pull.fetch(2, timeout=10)
        await told(reporter, metrics.QUEUE_IN_FLIGHT, REQUESTS, lambda value: value == 2)
        await second.ack_sync()
        await told(reporter, metrics.QUEUE_IN_FLIGHT, REQUESTS, lambda value: value == 1)
        age = await told(reporter, metrics.QUEUE_AGE, REQUESTS, lambda value: value > 0)
        assert age > (datetime.now(UTC) - began).total_seconds() - 5, "the oldest is not acknowledged, though a later one is"
        await first.ack_sync()
        [third] = await pull.fetch(1, timeout=10)
        await third.ack_sync()
        await told(reporter, metrics.QUEUE_AGE, REQUESTS, lambda value: value == 0)
        assert reporter.points(metrics.QUEUE_DEPTH)[REQUESTS] == 0


async def test_lanes_of_a_configured_provider_are_told_and_durables_of_others_are_not(tmp_path: Path) -> None:
    async with fleet(tmp_path) as (_, connection, [reporter], _):
        for durable, filters in (("adapter-far-away-bulk", "far-away.bulk"), ("adapter-gone-bulk", "gone.bulk"), ("somebody", "elsewhere.bulk")):
            await ensure_consumer(connection, Consumer("CALLS", durable, (f"llm.v1.call.{filters}.>",)))
        for provider in ("far-away", "gone", "elsewhere"):
            await connection.publish(connection.subjects.call(provider, "bulk", "acme", "one", 1), b"{}")
        await told(reporter, metrics.QUEUE_DEPTH, ("CALLS", "adapter-far-away-bulk", "bulk", "far-away"), lambda value: value == 1)
        durables = {labels[1] for labels in reporter.points(metrics.QUEUE_DEPTH)}
        assert not durables & {"adapter-gone-bulk", "somebody"}
        assert reporter.points(metrics.STREAM_MESSAGES)["CALLS",] == 3
        assert reporter.points(metrics.STREAM_BYTES)["CALLS",] > 0
        assert reporter.points(metrics.STREAM_BYTES_LIMIT)["DELTAS",] == 256 << 20
        assert ("CALLS",) not in reporter.points(metrics.STREAM_BYTES_LIMIT)


async def test_health_is_one_for_the_state_that_holds_and_zero_for_what_nobody_renews(tmp_path: Path) -> None:
    async with fleet(tmp_path) as (_, connection, [reporter], _):
        await health.tell(connection, ProviderHealthV1(provider="quiet", state="healthy", checked_at=datetime(2026, 1, 1, tzinfo=UTC), valid_s=60))
        await health.tell(connection, ProviderHealthV1(provider="far-away", state="unhealthy", checked_at=datetime.now(UTC), valid_s=60))
        await told(reporter, metrics.PROVIDER_HEALTH, ("far-away", "unhealthy"), lambda value: value == 1)
        states = {labels for labels, value in reporter.points(metrics.PROVIDER_HEALTH).items() if value}
        assert states == {("far-away", "unhealthy")}
        assert len(reporter.points(metrics.PROVIDER_HEALTH)) == 6
        assert {labels: float(usd) for labels, usd in reporter.points(metrics.BUDGET).items()} == {("acme",): 12.5}


async def test_one_process_of_the_fleet_tells_and_another_goes_on_when_it_ends(tmp_path: Path) -> None:
    async with fleet(tmp_path, processes=3) as (_, connection, reporters, running):
        await publish(connection, 1)

        def telling() -> list[int]:
            return [number for number, reporter in enumerate(reporters) if reporter.points(metrics.QUEUE_DEPTH)]

        [first] = await eventually(telling, 30)
        for _ in range(10):
            assert telling() == [first]
            await asyncio.sleep(0.1)
        running[first].cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running[first]
        assert not reporters[first].points(metrics.QUEUE_DEPTH), "what the process told that has left is gone"
        await eventually(lambda: telling() and first not in telling(), 30)


async def test_nothing_is_told_of_a_bus_that_is_away_once_the_lease_has_passed(tmp_path: Path) -> None:
    async with fleet(tmp_path) as (server, connection, [reporter], _):
        await publish(connection, 1)
        await told(reporter, metrics.QUEUE_DEPTH, REQUESTS, lambda value: value == 1)
        await asyncio.to_thread(server.stop)
        await eventually(lambda: not reporter.points(metrics.QUEUE_DEPTH), 30)
        await asyncio.to_thread(server.start)
        await told(reporter, metrics.QUEUE_DEPTH, REQUESTS, lambda value: value == 1)


async def test_a_process_that_was_paused_tells_nothing_once_its_lease_has_passed(tmp_path: Path) -> None:
    kept, bus.fleet.HOLD_S = bus.fleet.HOLD_S, 3600.0  # as if it were stopped after its first look
    try:
        async with fleet(tmp_path) as (_, _, [reporter], _):
            await eventually(lambda: reporter.points(metrics.STREAM_MESSAGES), 30)
            await asyncio.sleep(LEASE_S)
            assert not reporter.points(metrics.STREAM_MESSAGES)
    finally:
        bus.fleet.HOLD_S = kept
