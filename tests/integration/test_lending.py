"""Lanes of a provider lend each other their idle share on a real server, and never above the sum."""

import asyncio
import json
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bus.lease import LEASE_S
from bus.provision import drift, ensure_consumer
from bus.streams import SERVED_LANES
from contracts.config import ProviderV1
from services.adapters.lanes import consumers_of, durable, shares
from services.adapters.shares import reserve
from tests.support.client import Outsider
from tests.support.processes import eventually
from tests.support.stack import Stack, configuration, fake_provider

MOST = 16
FAKE = ProviderV1.model_validate(fake_provider("http://127.0.0.1", max_in_flight=MOST))
OWN = shares(FAKE)
RESERVED = {lane: reserve(lane, share) for lane, share in OWN.items()}
ALL_TO_BULK = {**RESERVED, "bulk": MOST - RESERVED["interactive"] - RESERVED["standard"]}
LENDER = '"event":"lending"'


def narrow(stack: Stack, **fields: Any) -> dict[str, Any]:
    return configuration(stack.base_url, providers=[fake_provider(stack.base_url, **{"max_in_flight": MOST, **fields})])


@asynccontextmanager
async def two_adapters(folder: Path, delay_s: float) -> AsyncIterator[tuple[Stack, Outsider]]:
    """A provider that takes 16 calls, served by two adapter processes, every lane at its own share."""
    stack = Stack(folder, provider_delay_s=delay_s)
    try:
        await asyncio.to_thread(stack.server.start)
        await stack.start_provider()
        await stack.begin_services(1, narrow(stack), ("router", "adapters", "validator"))
        stack.start("adapters-2")
        await stack.ready("adapters-2")
        async with Outsider(stack.server.url) as outsider:
            await have(outsider, OWN)
            yield stack, outsider
    finally:
        await asyncio.to_thread(stack.end)


async def limits(outsider: Outsider) -> dict[str, int]:
    infos = await asyncio.gather(*(outsider.js.consumer_info("CALLS", durable("fake", lane)) for lane in SERVED_LANES))
    return {lane: int(info.config.max_ack_pending or 0) for lane, info in zip(SERVED_LANES, infos, strict=True)}


async def have(outsider: Outsider, wanted: dict[str, int], within_s: float = 15) -> None:
    async def equal() -> bool:
        return await limits(outsider) == wanted

    await eventually(equal, within_s, what=f"limits {wanted}")


async def nine_tenths(outsider: Outsider) -> bool:
    """Whether a second long the calls of bulk were, on average, nine tenths of what it may have."""
    held = []
    for _ in range(20):
        held.append((await outsider.js.consumer_info("CALLS", durable("fake", "bulk"))).num_ack_pending or 0)
        await asyncio.sleep(0.05)
    return sum(held) / len(held) >= 0.9 * ALL_TO_BULK["bulk"]


async def ask_many(outsider: Outsider, lane: str, count: int, marker: str = "", prefix: str = "") -> list[str]:
    ids = [f"{prefix}{lane}-{number}" for number in range(count)]
    await asyncio.gather(*(outsider.ask(request_id, f"{marker} {request_id}", lane=lane) for request_id in ids))
    return ids


def most_at_once(stack: Stack) -> int:
    """Calls open at the provider at its busiest moment; its log is in the order of its own events."""
    open_calls = most = 0
    for line in stack.provider_log.read_text().splitlines():
        open_calls += 1 if json.loads(line)["event"] == "begin" else -1
        most = max(most, open_calls)
    return most


def lender(stack: Stack) -> str:
    """The process that began to lend last."""
    began = {
        name: max((json.loads(line)["time"] for line in program.text().splitlines() if LENDER in line), default="")
        for name, program in stack.services.items()
        if name.startswith("adapters")
    }
    return max(began, key=lambda name: began[name])


async def test_bulk_alone_uses_what_may_be_lent_and_random_loads_never_exceed_the_limit(tmp_path: Path) -> None:
    async with two_adapters(tmp_path, 0.5) as (stack, outsider):
        asked = await ask_many(outsider, "bulk", 150)
        await have(outsider, ALL_TO_BULK)
        await eventually(lambda: nine_tenths(outsider), 10, what="bulk uses nine tenths of what may be lent")
        chosen = random.Random(4)
        for wave in range(8):
            lane, delay_s = chosen.choice(SERVED_LANES), chosen.choice((0.05, 0.3, 1.0))
            asked += await ask_many(outsider, lane, chosen.randint(1, 20), f"[[delay {delay_s}]]", f"w{wave}-")
            if wave == 4:
                await stack.push(narrow(stack, lanes={"interactive": 1, "standard": 1, "bulk": 4}))
            await outsider.silence(chosen.uniform(0, 0.6))
        await asyncio.gather(*(outsider.result(request_id, within_s=40) for request_id in asked))
        assert ALL_TO_BULK["bulk"] <= most_at_once(stack) <= MOST
        assert {heard[0]["status"] for heard in outsider.heard.values()} == {"succeeded"}


async def test_interactive_is_dialled_at_once_within_its_reserve_and_has_its_share_when_borrowed_calls_end(tmp_path: Path) -> None:
    async with two_adapters(tmp_path, 2.0) as (stack, outsider):
        await ask_many(outsider, "bulk", 60)
        await have(outsider, ALL_TO_BULK)
        await eventually(lambda: len(stack.open_calls()) == ALL_TO_BULK["bulk"], 6, what="bulk in flight on all that it borrowed")
        began = time.time()
        await ask_many(outsider, "interactive", OWN["interactive"])
        await eventually(lambda: dialled(stack, "interactive") == OWN["interactive"], 8, what="the whole share of interactive")
        waited = sorted(call.at - began for call in stack.calls() if "interactive" in call.call_id)
        assert waited[RESERVED["interactive"] - 1] < 1.5, "the reserve waits for no borrowed call"
        assert waited[-1] < 2.0 + 2.0, "the share waits for one borrowed call and a few looks"
        assert most_at_once(stack) <= MOST


async def test_lent_shares_are_no_drift_and_survive_a_new_process_and_a_deleted_consumer(tmp_path: Path) -> None:
    async with two_adapters(tmp_path, 1.0) as (stack, outsider):
        await ask_many(outsider, "bulk", 100)
        await have(outsider, ALL_TO_BULK)
        bus = await stack.bus()
        assert await drift(bus) == []
        assert [await ensure_consumer(bus, consumer) for consumer in consumers_of(FAKE, bus.subjects.prefix)] == [[], [], []]
        await bus.close()
        await outsider.js.delete_consumer("CALLS", durable("fake", "interactive"))
        stack.start("adapters-3")
        await stack.ready("adapters-3")
        await have(outsider, ALL_TO_BULK)
        await eventually(lambda: len(stack.open_calls()) == ALL_TO_BULK["bulk"], 6, what="bulk in flight on all that it borrowed")
        assert (await outsider.answer("after", lane="interactive"))["status"] == "succeeded"
        assert most_at_once(stack) <= MOST


async def test_when_the_lender_stops_or_is_killed_another_goes_on_and_the_sum_holds(tmp_path: Path) -> None:
    async with two_adapters(tmp_path, 0.3) as (stack, outsider):
        sums: list[int] = []
        watching = asyncio.create_task(_watch(outsider, sums))
        first = lender(stack)
        stack.send(signal.SIGSTOP, first)
        await eventually(lambda: lender(stack) != first, LEASE_S + 5, what="another lender")
        bulk = await ask_many(outsider, "bulk", 400)
        await have(outsider, ALL_TO_BULK)
        stack.send(signal.SIGCONT, first)
        second = lender(stack)
        stack.kill(second)
        await eventually(lambda: stack.services[first].text().count(LENDER) == 2, LEASE_S + 5, what="the first lender again")
        await ask_many(outsider, "interactive", OWN["interactive"], "[[delay 3]]")
        await eventually(lambda: dialled(stack, "interactive") == OWN["interactive"], 5, what="the share of interactive, given back by the other process")
        assert len(outsider.heard) < len(bulk), "bulk still borrowed while all this happened"
        watching.cancel()
        assert max(sums) == MOST
        assert most_at_once(stack) <= MOST


async def _watch(outsider: Outsider, sums: list[int]) -> None:
    while True:
        sums.append(sum((await limits(outsider)).values()))
        await asyncio.sleep(0.02)


def dialled(stack: Stack, lane: str) -> int:
    return sum(1 for call in stack.calls() if lane in call.call_id)
