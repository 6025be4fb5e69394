"""What waits for a durable, and since when, on a real server."""

from pathlib import Path

from bus.backlog import Backlog, backlogs
from bus.connection import Bus
from bus.provision import provision
from bus.server import EmbeddedServer


async def one(bus: Bus, durable: str) -> Backlog:
    return next(found for found in await backlogs(bus) if found.durable == durable)


async def test_the_oldest_is_the_first_that_is_not_acknowledged(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path)
    server.start()
    bus = Bus(server.url)
    await bus.connect()
    try:
        await provision(bus)
        assert (await one(bus, "router-standard")) == Backlog("REQUESTS", "router-standard", 0, 0, 1000, None)
        subjects = ["llm.v1.request.a.chat.bulk", "llm.v1.request.a.chat.standard", "llm.v1.request.a.chat", "llm.v1.request.a.embed.standard"]
        stored = [(await bus.publish(subject, b"{}")).seq for subject in subjects]
        at = [held.stored_at for seq in stored if (held := await bus.get("REQUESTS", seq))]
        reading = await bus.nc.jetstream().pull_subscribe_bind("router-standard", "REQUESTS")
        first, second = await reading.fetch(2)
        assert (await one(bus, "router-standard")) == Backlog("REQUESTS", "router-standard", 1, 2, 1000, at[1])
        await second.ack_sync()
        assert (await one(bus, "router-standard")).oldest_at == at[1]
        await first.ack_sync()
        assert (await one(bus, "router-standard")) == Backlog("REQUESTS", "router-standard", 1, 0, 1000, at[3])
        found = await one(bus, "router-bulk")
        assert (found.waiting, found.oldest_at, found.lane, found.provider) == (1, at[0], "bulk", None)
    finally:
        await bus.close()
        server.stop()


def test_lane_and_provider_are_read_from_the_name() -> None:
    def named(durable: str) -> tuple[str | None, str | None]:
        found = Backlog("CALLS", durable, 0, 0, 1)
        return found.provider, found.lane

    assert [named(name) for name in ("adapter-my-own_1-bulk", "adapter-small-all", "meter", "router-failed-interactive", "adapter-meter")] == [
        ("my-own_1", "bulk"),
        ("small", "all"),
        (None, None),
        (None, "interactive"),
        (None, None),
    ]
