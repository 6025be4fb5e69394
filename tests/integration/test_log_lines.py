"""One request is found in the logs of every service that told of it, by its id and by its trace."""

import json
from typing import Any

from tests.support.client import Outsider
from tests.support.processes import eventually
from tests.support.stack import Stack

SCHEMA = {"name": "capital", "json_schema": {"type": "object", "required": ["capital"]}, "max_repairs": 1}


def lines(stack: Stack, **facts: str) -> list[dict[str, Any]]:
    """The lines of all services that hold these facts."""
    found: list[dict[str, Any]] = []
    for program in stack.services.values():
        found += [line for text in program.text().splitlines() if facts.items() <= (line := json.loads(text)).items()]
    return found


async def told(stack: Stack, request_id: str, trace_id: str, events: set[tuple[str, str]]) -> list[dict[str, Any]]:
    """Wait until each service has told of its event; the lines of that request."""

    def seen() -> list[dict[str, Any]]:
        found = lines(stack, request_id=request_id)
        return found if events <= {(line["service"], line["event"]) for line in found} else []

    found: list[dict[str, Any]] = await eventually(seen, 30, what=f"{events} of {request_id}; there is {lines(stack, request_id=request_id)}")
    assert {line["tenant"] for line in found} == {"acme"}
    assert {line["trace_id"] for line in found} == {trace_id}
    return found


async def test_a_request_that_is_repaired_in_vain_is_found_by_its_id_in_adapters_validator_and_meter(stack: Stack) -> None:
    async with Outsider(stack.url) as outsider:
        result = await outsider.answer("in-vain", "[[text no JSON]]", output=SCHEMA, within_s=60)
    assert result["status"] == "failed"
    found = await told(stack, "in-vain", result["trace_id"], {("validator", "repair_ordered"), ("validator", "settled"), ("meter", "metered")})
    assert [line["error"] for line in found if line["event"] == "settled"] == ["invalid_output"]


async def test_a_request_that_fails_is_found_by_its_id_in_adapters_router_and_meter_with_its_class_of_error(stack: Stack) -> None:
    async with Outsider(stack.url) as outsider:
        result = await outsider.answer("fails", "[[status 400]]", within_s=60)
    found = await told(stack, "fails", result["trace_id"], {("adapters", "attempted"), ("router", "ended"), ("meter", "metered")})
    assert {line["outcome"] for line in found if line["event"] == "attempted"} == {"invalid_request"}
    assert {line["error"] for line in found if line["event"] == "ended"} == {"invalid_request"}


async def test_a_dead_letter_is_found_by_its_trace(stack: Stack) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    async with Outsider(stack.url) as outsider:
        await outsider.request(b"\xff", headers={"traceparent": f"00-{trace_id}-00f067aa0ba902b7-00"})
    [line] = await eventually(lambda: lines(stack, trace_id=trace_id, event="dead_letter"), 30)
    assert (line["tenant"], line["reason"], line["service"]) == ("acme", "undecodable", "router")
