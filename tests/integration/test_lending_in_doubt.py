"""A change of a limit whose answer is lost may still come into force; until that is certain no other limit grows."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

from bus.application import Application
from bus.configuration import push
from bus.connection import ACK_TIMEOUT_S, Bus
from bus.errors import Unavailable
from bus.limits import holding
from bus.provision import ensure_consumer, provision
from bus.server import EmbeddedServer
from bus.wire import Incoming
from contracts.config import ProviderV1
from services.adapters.lanes import all_durables, consumers_of, shares
from services.adapters.lending import Lender
from tests.support.processes import eventually
from tests.support.stack import configuration, fake_provider

CHANGE = "$JS.API.CONSUMER.DURABLE.CREATE.CALLS.adapter-fake-"
ENTRY = fake_provider("http://127.0.0.1:9/v1", max_in_flight=16)
FAKE = ProviderV1.model_validate(ENTRY)


class SlowBus(Bus):
    """The first growth of bulk above its share comes into force only with the next change, and its answer is lost. Notes the sum after each change."""

    late: tuple[str, bytes] | None = None
    was_late = False

    def __init__(self, url: str) -> None:
        super().__init__(url, name="slow")
        self.sums: list[int] = []

    async def request(self, subject: str, body: bytes, headers: Mapping[str, str] | None = None, timeout_s: float = ACK_TIMEOUT_S) -> Incoming:
        if not subject.startswith(CHANGE):
            return await super().request(subject, body, headers, timeout_s)
        if subject.endswith("bulk") and not self.was_late and json.loads(body)["config"]["max_ack_pending"] > shares(FAKE)["bulk"]:
            self.late, self.was_late = (subject, body), True
            await wait_for_calls(self, "interactive", "standard")
            raise Unavailable("the bus did not answer in time")
        if self.late is not None:
            (earlier, change), self.late = self.late, None
            await super().request(earlier, change)
            await self.note()
        answer = await super().request(subject, body, headers, timeout_s)
        await self.note()
        return answer

    async def note(self) -> None:
        self.sums.append(sum((await limits(self)).values()))


async def limits(bus: Bus) -> dict[str, int]:
    found = {name.rpartition("-")[2]: await holding(bus, "CALLS", name) for name in all_durables("fake")}
    return {lane: held.limit for lane, held in found.items() if held is not None}


async def wait_for_calls(bus: Bus, *lanes: str) -> None:
    """Many calls that wait in lanes; nobody takes them here."""
    for lane in lanes:
        for number in range(40):
            await bus.publish(bus.subjects.call("fake", lane, "acme", f"{lane}-{number}", 1), b"{}")


async def test_no_limit_grows_while_an_earlier_change_may_still_come_into_force(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "nats", log=tmp_path / "nats-server.log")
    await asyncio.to_thread(server.start)
    bus = SlowBus(server.url)
    try:
        await bus.connect(timeout_s=10)
        await provision(bus)
        for consumer in consumers_of(FAKE, bus.subjects.prefix):
            await ensure_consumer(bus, consumer)
        await push(bus, json.dumps(configuration(ENTRY["base_url"], providers=[ENTRY])))
        await wait_for_calls(bus, "bulk")
        application = Application(bus)
        await application.config.wait()
        lending = asyncio.create_task(Lender(application).run())
        await eventually(lambda: bus.was_late and bus.late is None, 10, what="a late change that came into force")
        await eventually(lambda: _are(bus, shares(FAKE)), 10, what="every lane at its own share")
        lending.cancel()
        assert max(bus.sums) <= FAKE.max_in_flight
    finally:
        await bus.close()
        await asyncio.to_thread(server.stop)


async def _are(bus: Bus, wanted: dict[str, int]) -> bool:
    return await limits(bus) == wanted
