"""Deadlines and removed providers: every accepted request ends, once, and nothing is dialled too late."""

import asyncio
import signal
import time
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.integration.conftest import own_stack
from tests.support.processes import eventually
from tests.support.stack import configuration, fake_provider


async def test_an_expired_request_is_never_sent_to_a_provider(tmp_path: Path) -> None:
    async with own_stack(tmp_path) as (stack, outsider):
        stack.send(signal.SIGSTOP, "adapters-1")
        ids = [f"late-{number}" for number in range(20)]
        deadline = datetime.now(UTC) + timedelta(seconds=4)
        await asyncio.gather(*(outsider.ask(request_id, deadline=deadline.isoformat()) for request_id in ids))
        left_s = (deadline - datetime.now(UTC)).total_seconds() + 5
        results = await asyncio.gather(*(outsider.result(request_id, within_s=left_s) for request_id in ids))
        assert {result["status"] for result in results} == {"expired"}
        assert {result["error"]["type"] for result in results} == {"deadline_exceeded"}
        stack.send(signal.SIGCONT, "adapters-1")
        after = await outsider.answer("after", within_s=30)
        assert after["status"] == "succeeded"
        await outsider.silence(2)
        assert {call.call_id for call in stack.calls()} == {"acme/after/1"}
        assert all(len(heard) == 1 for heard in outsider.heard.values())


async def test_a_deadline_in_mid_call_closes_the_connection_and_ends_the_request(tmp_path: Path) -> None:
    async with own_stack(tmp_path) as (stack, outsider):
        began = time.monotonic()
        result = await outsider.answer("mid-call", "[[delay 30]]", timeout_s=3, within_s=5)
        assert time.monotonic() - began < 5
        assert (result["status"], result["error"]["type"]) == ("expired", "deadline_exceeded")
        assert [attempt["outcome"] for attempt in result["attempts"]] == ["timeout"]
        await eventually(lambda: not stack.open_calls(), 2, what="the provider's connection closed")


@pytest.mark.timeout(180)
async def test_all_requests_of_a_removed_provider_end_once(tmp_path: Path) -> None:
    async with own_stack(tmp_path) as (stack, outsider):
        narrow = fake_provider(stack.base_url, max_in_flight=20)
        other = fake_provider(stack.base_url, id="other")
        await stack.push(configuration(stack.base_url, providers=[narrow, other], routes={"default": {"candidates": ["fake/small", "other/small"]}}))
        await eventually(lambda: stack.services["adapters-1"].text().count("configuration_loaded") >= 2, 10, what="the new configuration")
        await outsider.silence(2)
        ids = [f"gone-{number}" for number in range(500)]
        await asyncio.gather(*(outsider.ask(request_id, f"[[delay 4]] {request_id}") for request_id in ids))
        await eventually(stack.calls)
        await stack.push(configuration(stack.base_url, providers=[other], routes={"default": {"candidates": ["other/small"]}}))
        await eventually(lambda: len(outsider.heard) == len(ids), 120, 0.2, what="500 results")
        assert all(len(heard) == 1 for heard in outsider.heard.values())
        assert {heard[0]["status"] for heard in outsider.heard.values()} == {"succeeded"}
        assert await outsider.last_sequence("RESULTS") == len(ids)
        await eventually(lambda: _empty(outsider.messages("CALLS")), 60, 0.5, what="an empty CALLS")


async def _empty(count: Awaitable[int]) -> bool:
    return await count == 0
