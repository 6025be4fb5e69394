"""Back-pressure: a full bus says so by name, producers wait for room, and then all goes on."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bus.client import HeadraceClient
from bus.errors import Full
from tests.integration.conftest import own_stack
from tests.support import canaries
from tests.support.processes import eventually
from tests.support.stack import Stack

FULL = "the bus is full, nothing was stored: REQUESTS (maximum messages exceeded"


async def headrace(stack: Stack, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "cli.main", "--tenant", "acme", *arguments]
    done = await asyncio.to_thread(
        lambda: subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **stack.environment})
    )
    canaries.said(arguments[0], done.stderr)
    return done


@pytest.mark.timeout(120)
def test_producers_meet_a_full_bus(tmp_path: Path) -> None:
    asyncio.run(_meet_a_full_bus(tmp_path))


async def _meet_a_full_bus(folder: Path) -> None:
    async with own_stack(folder) as (stack, outsider):
        for number in range(3):
            await outsider.answer(f"first-{number}")
        limited = await headrace(stack, "doctor", "--apply", "--requests-max-msgs", "5", "--requests-max-bytes", "1000000")
        assert limited.returncode == 0, limited.stdout + limited.stderr
        requests = folder / "requests.jsonl"
        requests.write_text("".join(json.dumps({"messages": [{"role": "user", "content": f"Hello {number}"}]}) + "\n" for number in range(8)))
        publishing = asyncio.create_task(headrace(stack, "publish", str(requests), "--out", str(folder / "results.jsonl")))
        await eventually(lambda: len(stack.calls()) == 5, 20, what="the two requests that found room")

        asked = await headrace(stack, "ask", "Is there room?")
        assert asked.returncode == 1
        assert FULL in asked.stderr
        assert "headrace doctor --apply --requests-max-msgs" in asked.stderr
        bus = await stack.bus()
        with pytest.raises(Full):
            await HeadraceClient(bus, "acme").publish({"messages": []})
        await bus.close()

        config = (await outsider.js.stream_info("REQUESTS")).config
        await outsider.js.update_stream(config.evolve(duplicate_window=1))
        mended = await headrace(stack, "doctor", "--apply")
        assert "duplicate_window" in mended.stderr
        config = (await outsider.js.stream_info("REQUESTS")).config
        assert (config.max_msgs, config.max_bytes) == (5, 1000000), "mending leaves the operator's limits alone"
        assert not publishing.done()

        await headrace(stack, "doctor", "--apply", "--requests-max-msgs", "-1")
        done = await asyncio.wait_for(publishing, 30)
        assert done.returncode == 0, done.stderr
        assert " ".join(done.stderr.split()).count(FULL) >= 1
        statuses = [json.loads(line)["status"] for line in (folder / "results.jsonl").read_text().splitlines()]
        assert statuses == ["succeeded"] * 8
        assert len(stack.calls()) == 3 + 8
        assert await outsider.messages("DEAD_LETTERS") == 0
