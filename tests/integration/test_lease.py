"""A lease is held by one process at a time, on a real server."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bus.connection import Bus
from bus.lease import LEASE_S, Lease
from bus.provision import provision
from bus.server import EmbeddedServer
from tests.support.processes import eventually


@asynccontextmanager
async def two_buses(folder: Path) -> AsyncIterator[tuple[EmbeddedServer, Bus, Bus]]:
    server = EmbeddedServer(folder / "nats", log=folder / "nats-server.log")
    await asyncio.to_thread(server.start)
    buses = [Bus(server.url, name=name) for name in ("one", "other")]
    try:
        for bus in buses:
            await bus.connect(timeout_s=10)
        await provision(buses[0])
        yield server, buses[0], buses[1]
    finally:
        for bus in buses:
            await bus.close()
        await asyncio.to_thread(server.stop)


async def test_a_lease_is_one_holders_until_it_is_released_and_each_name_is_its_own(tmp_path: Path) -> None:
    async with two_buses(tmp_path) as (_, one, other):
        mine, theirs = Lease(one, "lending", "one"), Lease(other, "lending", "other")
        assert await mine.hold() and not await theirs.hold()
        assert mine.left_s > 0 >= theirs.left_s
        assert await Lease(other, "something-else", "other").hold()
        await mine.release()
        assert mine.left_s <= 0
        assert await theirs.hold() and not await mine.hold()


async def test_a_renewed_lease_stays_and_one_that_nobody_renews_passes_to_another(tmp_path: Path) -> None:
    async with two_buses(tmp_path) as (_, one, other):
        mine, theirs = Lease(one, "lending", "one"), Lease(other, "lending", "other")
        until = time.monotonic() + LEASE_S + 1
        while time.monotonic() < until:
            assert await mine.hold() and not await theirs.hold()
            await asyncio.sleep(0.1)
        held_until = time.monotonic() + mine.left_s
        await eventually(theirs.hold, LEASE_S + 3, 0.02)
        assert time.monotonic() > held_until, "it passed before its holder had stopped"
        assert mine.left_s <= 0 and not await mine.hold()


async def test_a_lease_outlives_a_kill_of_the_server(tmp_path: Path) -> None:
    async with two_buses(tmp_path) as (server, one, other):
        mine, theirs = Lease(one, "lending", "one"), Lease(other, "lending", "other")
        assert await mine.hold()
        assert server.process is not None
        server.process.kill()
        server.process.wait()
        await asyncio.to_thread(server.start)
        await eventually(lambda: other.nc.is_connected, 10)
        if await theirs.hold():
            assert mine.left_s <= 0, "the server forgot a lease that was still held"
