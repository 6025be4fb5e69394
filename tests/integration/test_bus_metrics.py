"""What the bus itself counts, with a handler of the test's own on a real server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bus.connection import Bus
from bus.delivery import Delivery
from bus.errors import Reject, Retry, Unavailable
from bus.notices import notify
from bus.provision import provision
from bus.server import EmbeddedServer
from bus.streams import consumers
from bus.worker import Worker
from observability import metrics
from observability.instruments import Counter, Labels
from tests.support.metrics import recording_metrics
from tests.support.processes import eventually

DURABLE = "router-bulk"


class Handler:
    """Raises what the body says, the first time that it is delivered."""

    def __init__(self) -> None:
        self.done: list[str] = []

    async def __call__(self, delivery: Delivery) -> None:
        word = delivery.body.decode()
        if delivery.deliveries == 1 or word == "reject":
            match word:
                case "retry":
                    raise Retry(0.1)
                case "full":
                    raise Unavailable("no room")
                case "broken":
                    raise ZeroDivisionError
                case "reject":
                    raise Reject("undecodable", "it says reject")
                case "slow":
                    await asyncio.sleep(0.3)
        self.done.append(word)


@asynccontextmanager
async def handling(folder: Path) -> AsyncIterator[tuple[Bus, Handler]]:
    server, handler = EmbeddedServer(folder / "nats", log=folder / "nats-server.log"), Handler()
    await asyncio.to_thread(server.start)
    bus = Bus(server.url)
    try:
        await bus.connect(timeout_s=10)
        await provision(bus)
        with recording_metrics():
            worker = Worker(bus, consumers()[DURABLE], handler, service="router", slots=8)
            await worker.start()
            yield bus, handler
            await worker.stop()
    finally:
        await bus.close()
        await asyncio.to_thread(server.stop)


async def say(bus: Bus, *words: str) -> None:
    for word in words:
        await bus.publish(bus.subjects.request("acme", "chat", "bulk"), word.encode())


def counts(counter: Counter) -> dict[Labels, float]:
    return {labels: float(value) for labels, value in counter.points().items()}


async def test_each_delivery_that_comes_back_is_counted_by_its_reason_and_each_dead_letter_once(tmp_path: Path) -> None:
    async with handling(tmp_path) as (bus, handler):
        await say(bus, "fine", "retry", "full", "broken", "reject", "retry")
        await eventually(lambda: len(handler.done) == 5 and metrics.DEAD_LETTERS.points(), 30)
        assert counts(metrics.DELIVERIES_RETURNED) == {(DURABLE, "retry"): 2, (DURABLE, "backpressure"): 1, (DURABLE, "fault"): 1}
        assert counts(metrics.DEAD_LETTERS) == {("router", "undecodable"): 1}
        assert counts(metrics.NOTICES) == {("warning", "backpressure"): 1}
        await eventually(lambda: sum(sum(cell.counts) for cell in metrics.PROCESS_DURATION.cells().values()) == 10, 30)
        ended = {labels[3]: sum(cell.counts) for labels, cell in metrics.PROCESS_DURATION.cells().items()}
        assert ended == {None: 5, "retry": 2, "backpressure": 1, "fault": 1, "rejected": 1}
        assert {labels[:3] for labels in metrics.PROCESS_DURATION.cells()} == {("nats", "process", DURABLE)}


async def test_only_a_first_delivery_tells_how_long_its_message_waited(tmp_path: Path) -> None:
    async with handling(tmp_path) as (bus, handler):
        await say(bus, "retry", "slow")
        await eventually(lambda: len(handler.done) == 2, 30)
        [(labels, cell)] = metrics.QUEUE_WAIT.cells().items()
        assert labels == ("REQUESTS", "bulk") and sum(cell.counts) == 2
        assert 0 <= cell.sum < 20
        took = metrics.PROCESS_DURATION.cells()["nats", "process", DURABLE, None]
        assert took.sum >= 0.3


async def test_notices_are_counted_by_severity_and_kind(tmp_path: Path) -> None:
    async with handling(tmp_path) as (bus, _):
        for number in range(3):
            await notify(bus, "error", "provider_health", "adapters", f"text {number}", tenant="acme", request_id=f"r-{number}")
        assert counts(metrics.NOTICES) == {("error", "provider_health"): 3}
