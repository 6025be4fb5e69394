"""SIGTERM: a process stops taking work, ends or hands back what it has, and leaves with status 0."""

import asyncio
import signal
import time
from pathlib import Path

import pytest

from bus.connection import Bus
from bus.delivery import Delivery
from bus.provision import provision
from bus.server import EmbeddedServer
from bus.streams import ACK_WAIT_S, consumers
from bus.worker import Worker
from tests.chaos.load import Load
from tests.integration.conftest import own_stack
from tests.support.processes import eventually

LEAVES_S = 15.0


async def test_what_is_on_its_way_to_a_worker_that_stops_is_handed_back_at_once(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "nats")
    await asyncio.to_thread(server.start)
    try:
        bus = Bus(server.url)
        await bus.connect(timeout_s=10)
        await provision(bus)
        await asyncio.gather(*(bus.publish("llm.v1.request.acme.chat.standard", b"x" * 2000) for _ in range(3000)))
        consumer, handled = consumers()["router-standard"], set[int]()

        async def handle(delivery: Delivery) -> None:
            handled.add(delivery.seq)

        for number in range(5):
            worker = Worker(bus, consumer, handle, service="test", slots=256)
            await worker.start()
            await _more_than(100 * number, handled)
            await worker.stop(5)
        worker = Worker(bus, consumer, handle, service="test", slots=256)
        await worker.start()
        await eventually(lambda: len(handled) == 3000, ACK_WAIT_S - 5, 0.05, what="all messages handled before any ack_wait is over")
        await worker.stop(5)
        await bus.close()
    finally:
        server.stop()


async def _more_than(count: int, handled: set[int]) -> None:
    await eventually(lambda: len(handled) > count, 10, 0.001)


@pytest.mark.timeout(120)
async def test_all_services_leave_in_the_midst_of_load_and_what_they_had_goes_on_without_a_second_dial(tmp_path: Path) -> None:
    async with own_stack(tmp_path, provider_delay_s=0.3) as (stack, outsider):
        stalled = [f"stalled-{number}" for number in range(3)]
        for request_id in stalled:
            await outsider.ask(request_id, f"[[stall x1]] {request_id}")
        load = Load(stack, outsider, fewest=150, in_flight=24, seed=2)
        loading = asyncio.create_task(load.run())
        await eventually(lambda: len(stack.calls()) > 50, 20)
        began = time.monotonic()
        leaving = dict(stack.services)
        stack.send(signal.SIGTERM, *leaving)
        await eventually(lambda: not any(program.alive for program in leaving.values()), LEAVES_S, 0.05, what="all services gone")
        took_s = time.monotonic() - began
        assert {name: program.process.returncode for name, program in leaving.items() if program.process.returncode} == {}
        assert took_s < LEAVES_S
        for name in leaving:
            stack.start(name)
        load.stopping.set()
        await loading
        await eventually(lambda: not load.unanswered(), 40, 0.2, what="results")
        assert {outsider.heard[f"chaos/{request_id}"][0]["status"] for request_id in load.published} == {"succeeded"}
        ids = [call.call_id for call in stack.calls()]
        assert len(ids) == len(set(ids)), "a call was dialled twice"
        for request_id in stalled:
            result = await outsider.result(request_id, within_s=30)
            assert [attempt["outcome"] for attempt in result["attempts"]] == ["outcome_unknown", "answered"]
        assert len(ids) == load.count + 2 * len(stalled)
        assert await outsider.last_sequence("RESULTS") == load.count + len(stalled)
        assert await outsider.messages("DEAD_LETTERS") == 0
