"""Ten thousand requests of fifty tenants, with whatever producers may think of: no metric gets a series that grows with requests."""

import asyncio
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bus.connection import Bus
from contracts.export import EXAMPLES
from tests.support.metrics import Series, begin_scraped, scrape_all, total
from tests.support.processes import eventually
from tests.support.stack import Stack, configuration

TENANTS = [f"tenant-{number}" for number in range(50)]
EARLY, LATE, AT_ONCE = 1_000, 10_000, 500
HOSTILE = ['"} 1\nup{x="', "\u202e\x00", "'; DROP TABLE", "${HOME}", "a" * 400, "{}", "\\", "ünïcode-\U0001f4a5"]
RARE = {"headrace_deliveries_returned_total", "headrace_notices_total", "messaging_process_duration_seconds"}
"""What a busy machine may add: closed lists of reasons."""
ANSWERED = json.loads((EXAMPLES / "attempt.v1.json").read_text())


def answered(tenant: str, request_id: str, model: str, lane: str) -> dict[str, Any]:
    """What a provider answered to a tenant, of a model, that the configuration has no more."""
    origin = {**ANSWERED["origin"], "tenant": tenant, "request_id": request_id, "lane": lane, "output": None}
    return {**ANSWERED, "origin": origin, "summary": {**ANSWERED["summary"], "n": 1, "model": model}}


def requests(first: int, last: int) -> Iterator[tuple[str, bytes]]:
    """Subject and body of each; one of sixteen is not as it should be, or is an answer that its tenant did not wait for."""
    chance = random.Random(first)
    for number in range(first, last):
        tenant, lane = chance.choice(TENANTS), chance.choice(("interactive", "standard", "bulk"))
        subject = f"llm.v1.request.{tenant}.chat.{lane}"
        body: dict[str, Any] = {"id": f"id-{chance.getrandbits(60):x}-{number}", "timeout_s": 3600, "messages": [{"role": "user", "content": "Hello"}]}
        match number % 100:
            case 3:
                subject = f"llm.v1.request.unknown-{number}.chat.{lane}"
            case 13:
                tenant, request_id = f"unknown-{number}", body["id"]
                subject, body = f"llm.v1.attempt.answered.{lane}.{tenant}.{request_id}.1", answered(tenant, request_id, f"model-{number}", lane)
            case 23:
                body["model"] = f"fake/model-{number}"
            case 43:
                body["route"] = chance.choice(HOSTILE)
            case 63:
                subject = f"llm.v1.request.{tenant}.kind-{number}.{lane}"
            case 83:
                body["metadata"] = {chance.choice(HOSTILE)[:200]: f"{number} {chance.choice(HOSTILE)}"[:200]}
            case 93 if number < 500:
                subject = f"llm.v1.request.{tenant}.chat.lane-{number}"
        yield subject, json.dumps(body).encode()


async def publish(bus: Bus, first: int, last: int) -> None:
    waiting = list(requests(first, last))
    for begin in range(0, len(waiting), AT_ONCE):
        await asyncio.gather(*(bus.publish(subject, body) for subject, body in waiting[begin : begin + AT_ONCE]))


async def figures(bus: Bus, ports: dict[str, int], wanted: int, within_s: float) -> Series:
    """What all processes say once so many requests have ended and are metered."""

    async def ended() -> bool:
        js = bus.nc.jetstream(timeout=10)
        meter = await js.consumer_info("ATTEMPTS", "meter")
        return (await js.stream_info("RESULTS")).state.messages >= wanted and not meter.num_pending and not meter.num_ack_pending

    await eventually(ended, within_s, 0.25, what=f"{wanted} results")
    await eventually(lambda: _fleet_told(ports), 30, 0.5, what="queues and streams")
    return await scrape_all(ports.values())


async def _fleet_told(ports: dict[str, int]) -> bool:
    return total(await scrape_all(ports.values()), "headrace_stream_messages", stream="RESULTS") > 0


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_ten_thousand_requests_of_fifty_tenants_add_no_series_that_grows_with_requests(tmp_path: Path) -> None:
    stack = Stack(tmp_path, modules={"adapters": "bench.inside"})
    try:
        await stack.start_servers()
        config = configuration("http://127.0.0.1:9/v1", tenants={tenant: {} for tenant in TENANTS})
        ports = await begin_scraped(stack, config)
        bus = await stack.bus()
        await publish(bus, 0, EARLY)
        early = await figures(bus, ports, EARLY, 60)
        await publish(bus, EARLY, LATE)
        late = await figures(bus, ports, LATE, 300)
        await bus.close()
    finally:
        await asyncio.to_thread(stack.end)
    assert total(late, "headrace_request_duration_seconds_count") == LATE > total(early, "headrace_request_duration_seconds_count") == EARLY
    assert {labels for _, labels in late if "tenant-" in str(labels)}, "configured tenants are told"
    new = {(name, labels) for name, labels in set(late) - set(early) if not name.startswith(tuple(RARE))}
    assert not new
    assert len(late) < len(early) + 100
    for name, labels in late:
        for label, value in labels:
            assert not any(word in value for word in ("unknown-", "model-", "kind-", "lane-", "id-")) or label.startswith("service_"), (name, label, value)
