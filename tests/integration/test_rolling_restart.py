"""Every process of a fleet is replaced under load, one after the other; whoever asks notices nothing."""

import asyncio
import signal
import time
from pathlib import Path

import pytest

from bus.streams import ACK_WAIT_S
from tests.chaos.account import account
from tests.chaos.load import Load
from tests.support.client import Outsider
from tests.support.processes import eventually
from tests.support.stack import Stack, configuration

FLEET = ("router-1", "router-2", "adapters-1", "adapters-2", "validator-1", "validator-2", "meter-1")
"""Two of each, but for the meter: on SQLite there is one."""
LEAVES_S = 15.0


async def replaced(stack: Stack, name: str) -> tuple[str, int, float]:
    """SIGTERM, and a successor as soon as it is gone; its exit status, and the seconds that it took to leave."""
    leaving, began = stack.services[name], time.monotonic()
    leaving.send(signal.SIGTERM)
    await eventually(lambda: not leaving.alive, LEAVES_S, 0.05, what=f"{name} leaving")
    took = time.monotonic() - began
    stack.start(name)
    await stack.ready(name)
    return name, leaving.process.returncode, took


@pytest.mark.timeout(120)
async def test_a_rolling_restart_under_load_loses_nothing_fails_nothing_and_asks_no_provider_twice(tmp_path: Path) -> None:
    stack = Stack(tmp_path, provider_delay_s=0.3)
    try:
        await stack.start_servers()
        await stack.start_provider()
        await stack.begin_services(2, configuration(stack.base_url), ("router", "adapters", "validator"))
        stack.start("meter-1")
        await stack.ready("meter-1")
        async with Outsider(stack.url) as outsider:
            load = Load(stack, outsider, fewest=200, in_flight=24, seed=1)
            loading = asyncio.create_task(load.run())
            left = [await replaced(stack, name) for name in FLEET]
            load.stopping.set()
            await loading
            await eventually(lambda: not load.unanswered(), 30, 0.2, what="results")
            await outsider.idle("meter", "ATTEMPTS", 20)
            numbers = await account(stack, outsider, load.count, set(), {})
            slowest_s = max(outsider.heard[f"chaos/{request_id}"][0]["duration_s"] for request_id in load.published)
    finally:
        await asyncio.to_thread(stack.end)
    assert {name: status for name, status, _ in left if status} == {}
    assert numbers["results"] == numbers["provider_calls"] == numbers["requests"] >= 200
    for count in ("duplicate_results", "not_succeeded", "calls_dialled_twice", "unknown_attempts", "ledger_mismatches", "dead_letters"):
        assert numbers[count] == 0, numbers
    assert slowest_s < ACK_WAIT_S - 3, "a message that was on its way to a process that left was not handed back"
