"""Duplicates, cancels, tenants and a full stream, through the public interface."""

import asyncio
from typing import Any

from tests.support.client import Outsider
from tests.support.processes import eventually
from tests.support.stack import Stack


async def conflicts(outsider: Outsider, request_id: str) -> int:
    found = await outsider.all_stored("NOTICES", "llm.v1.notice.*.conflict")
    return sum(notice["request_id"] == request_id for _, _, notice in found)


async def twice_and_otherwise(outsider: Outsider, request_id: str, text: str) -> None:
    """The same request again, and its id with another body."""
    await outsider.ask(request_id, text)
    await outsider.ask(request_id, "quite another question")


async def one_result_and_a_conflict(stack: Stack, outsider: Outsider, request_id: str, calls: int, result: dict[str, Any], seq: int) -> None:
    assert result["status"] == "succeeded"
    assert result["request_seq"] == seq
    assert await eventually(lambda: conflicts(outsider, request_id), 10) == 1
    assert len(outsider.heard[f"acme/{request_id}"]) == 1
    assert len(stack.calls(request_id)) == calls


async def test_a_duplicate_while_call_2_is_scheduled_changes_nothing(stack: Stack) -> None:
    async with Outsider(stack.server.url) as outsider:
        text = "[[status 503 x1]] [[retry_after 3]] scheduled"
        seq = await outsider.ask("dup-scheduled", text)
        await eventually(lambda: outsider.subjects("CALLS", "llm.v1.call.later.>"), 10)
        await twice_and_otherwise(outsider, "dup-scheduled", text)
        result = await outsider.result("dup-scheduled")
        await one_result_and_a_conflict(stack, outsider, "dup-scheduled", 2, result, seq)


async def test_a_duplicate_while_the_call_is_in_flight_changes_nothing(stack: Stack) -> None:
    async with Outsider(stack.server.url) as outsider:
        seq = await outsider.ask("dup-flight", "[[delay 2]]")
        await eventually(lambda: stack.calls("dup-flight"))
        await twice_and_otherwise(outsider, "dup-flight", "[[delay 2]]")
        result = await outsider.result("dup-flight")
        await one_result_and_a_conflict(stack, outsider, "dup-flight", 1, result, seq)


async def test_a_duplicate_of_an_answer_that_is_not_validated_yet_changes_nothing(stack: Stack) -> None:
    async with Outsider(stack.server.url) as outsider:
        stack.services["validator-1"].stop()
        seq = await outsider.ask("dup-answered", "x")
        await eventually(lambda: outsider.subjects("ATTEMPTS", "llm.v1.attempt.answered.*.acme.dup-answered.1"))
        await twice_and_otherwise(outsider, "dup-answered", "x")
        await eventually(lambda: conflicts(outsider, "dup-answered"), 10)
        stack.start("validator-1")
        result = await outsider.result("dup-answered", within_s=40)
        await one_result_and_a_conflict(stack, outsider, "dup-answered", 1, result, seq)


async def test_a_duplicate_of_what_is_done_changes_nothing(stack: Stack) -> None:
    async with Outsider(stack.server.url) as outsider:
        seq = await outsider.ask("dup-done", "x")
        result = await outsider.result("dup-done")
        await twice_and_otherwise(outsider, "dup-done", "x")
        await one_result_and_a_conflict(stack, outsider, "dup-done", 1, result, seq)


async def test_a_cancel_before_its_request_ends_that_id(stack: Stack) -> None:
    async with Outsider(stack.server.url) as outsider:
        await outsider.cancel("cancel-before")
        await outsider.idle("router-cancel", "CANCELS", 10)
        result = await outsider.answer("cancel-before")
        assert result["status"] == "cancelled"
        assert stack.calls("cancel-before") == []


async def test_a_cancel_in_mid_call_ends_the_call_within_a_second_or_so(stack: Stack) -> None:
    async with Outsider(stack.server.url) as outsider:
        await outsider.ask("cancel-during", "[[delay 30]]")
        await eventually(lambda: stack.calls("cancel-during"))
        await outsider.cancel("cancel-during")
        result = await outsider.result("cancel-during", within_s=3)
        assert result["status"] == "cancelled"
        await eventually(lambda: "acme/cancel-during/1" not in stack.open_calls(), 3, what="the provider's connection closed")
        attempt = "llm.v1.attempt.failed.standard.acme.cancel-during.1"
        stored = await eventually(lambda: outsider.stored("ATTEMPTS", attempt), 3)
        assert stored is not None and stored["summary"]["outcome"] == "cancelled"
        assert len(outsider.heard["acme/cancel-during"]) == 1


async def test_a_cancel_after_the_result_does_nothing(stack: Stack) -> None:
    async with Outsider(stack.server.url) as outsider:
        await outsider.answer("cancel-after")
        await outsider.cancel("cancel-after")
        await outsider.idle("router-cancel", "CANCELS", 10)
        assert [result["status"] for result in outsider.heard["acme/cancel-after"]] == ["succeeded"]


async def test_two_tenants_may_use_the_same_id(stack: Stack) -> None:
    async with Outsider(stack.server.url) as outsider:
        first, second = await asyncio.gather(outsider.answer("same-id", "Hello acme", tenant="acme"), outsider.answer("same-id", "Hello beta", tenant="beta"))
        assert first["status"] == second["status"] == "succeeded"
        assert first["message"] != second["message"]
        assert {call.call_id for call in stack.calls("same-id")} == {"acme/same-id/1", "beta/same-id/1"}


async def test_results_that_find_no_room_wait_until_there_is_some(stack: Stack) -> None:
    async with Outsider(stack.server.url) as outsider:
        config = (await outsider.js.stream_info("RESULTS")).config
        allowed = config.max_msgs
        await outsider.js.update_stream(config.evolve(max_msgs=await outsider.messages("RESULTS")))
        ids = [f"full-{number}" for number in range(20)]
        await asyncio.gather(*(outsider.ask(request_id) for request_id in ids))
        await eventually(lambda: sum(len(stack.calls(request_id)) for request_id in ids) == len(ids), 10)
        await outsider.silence(2)
        assert not any(f"acme/{request_id}" in outsider.heard for request_id in ids)
        await outsider.js.update_stream(config.evolve(max_msgs=allowed))
        results = await asyncio.gather(*(outsider.result(request_id, within_s=40) for request_id in ids))
        assert {result["status"] for result in results} == {"succeeded"}
        assert sum(len(stack.calls(request_id)) for request_id in ids) == len(ids)
        assert await outsider.messages("DEAD_LETTERS") == 0
