"""Services as processes, scraped as Prometheus does: known traffic makes exactly the figures that the streams hold."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bus.server import free_port
from observability.metrics import INSTRUMENTS
from tests.support.client import Outsider
from tests.support.metrics import Series, begin_scraped, scrape, scrape_all, total, values
from tests.support.otlp import Received, http_receiver
from tests.support.processes import eventually
from tests.support.stack import Stack, configuration, fake_provider

CHATS = 10
ELSEWHERE = {"headrace.index.documents", "headrace.index.chunks", "headrace.search.duration", "llm_optimizer_fallback", "headrace.deliveries.returned"}
"""Recorded by the indexer, or in faults that this traffic does not have; tests of their own make them."""


def config(stack: Stack) -> dict[str, Any]:
    dead = {**fake_provider(f"http://127.0.0.1:{free_port()}/v1"), "id": "dead"}
    return configuration(
        stack.base_url,
        providers=[fake_provider(stack.base_url), dead],
        routes={"default": {"candidates": ["fake/small"]}, "embedding": {"candidates": ["fake/embed"]}},
        tenants={"acme": {"budget_usd_per_day": 3}, "beta": {}},
    )


@pytest.fixture
def receiver() -> Iterator[Received]:
    with http_receiver() as received:
        yield received


@asynccontextmanager
async def scraped(folder: Path, **environment: str) -> AsyncIterator[tuple[Stack, Outsider, dict[str, int]]]:
    stack = Stack(folder)
    try:
        await stack.start_servers()
        await stack.start_provider()
        ports = await begin_scraped(stack, config(stack), {"HEADRACE_ADAPTERS_HEALTH_INTERVAL_S": "1", **environment})
        async with Outsider(stack.url) as outsider:
            yield stack, outsider, ports
    finally:
        await asyncio.to_thread(stack.end)


async def traffic(outsider: Outsider) -> None:
    """Some of everything; returns when all of it has ended."""
    for number in range(CHATS):
        await outsider.ask(f"chat-{number}", tenant=("acme", "beta")[number % 2], lane="interactive")
    await outsider.ask("again", "[[status 503 x1]]")
    await outsider.ask("streamed", stream=True)
    await outsider.ask("no-price", model="fake/free")
    await outsider.ask("unknown-model", model="fake/nobody-configured-this")
    await outsider.ask("whose", tenant="nobody")
    await outsider.request({"id": "kind"}, kind="made-up-kind")
    await outsider.request({"id": "vectors", "input": ["one", "two"]}, kind="embed")
    await outsider.request(b"\xff not JSON")
    for number in range(CHATS):
        await outsider.result(f"chat-{number}", ("acme", "beta")[number % 2], 60)
    for request_id in ("again", "streamed", "no-price", "unknown-model", "kind", "vectors"):
        await outsider.result(request_id, within_s=60)
    await outsider.result("whose", "nobody", 60)
    await outsider.idle("meter", "ATTEMPTS")


@pytest.mark.slow
async def test_every_metric_says_what_the_streams_hold(tmp_path: Path, receiver: Received) -> None:
    collector = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{receiver.endpoint}/v1/metrics", "OTEL_METRIC_EXPORT_INTERVAL": "1000"}
    async with scraped(tmp_path, **collector) as (stack, outsider, ports):
        await traffic(outsider)
        await eventually(lambda: _seen(ports), 60, what="a dead letter, and figures of the whole fleet")
        series = await scrape_all(ports.values())
        attempts = [body for _, _, body in await outsider.all_stored("ATTEMPTS")]
        results = [body for _, _, body in await outsider.all_stored("RESULTS")]
        costs = [body for _, _, body in await outsider.all_stored("COSTS")]

        accepted = {"interactive": CHATS, "standard": 4}
        assert {lane: total(series, "headrace_requests_accepted_total", lane=lane) for lane in accepted} == accepted
        assert total(series, "headrace_requests_accepted_total") == CHATS + 4
        outcomes = Counter(attempt["summary"]["outcome"] for attempt in attempts)
        assert {outcome: total(series, "headrace_attempts_total", outcome=outcome) for outcome in outcomes} == outcomes
        assert total(series, "headrace_attempts_total") == len(attempts) == CHATS + 5
        ended = Counter(result["status"] for result in results)
        assert {status: total(series, "headrace_request_duration_seconds_count", status=status) for status in ended} == ended
        assert sum(ended.values()) == CHATS + 7 and ended["refused"] == 3

        assert total(series, "gen_ai_client_operation_duration_seconds_count") == len(stack.calls()) == len(attempts)
        assert total(series, "gen_ai_client_operation_duration_seconds_count", gen_ai_operation_name="embeddings") == 1
        assert total(series, "gen_ai_client_operation_time_to_first_chunk_seconds_count") == 1
        usage = [cost["usage"] for cost in costs]
        for kind in ("input", "output"):
            tokens = sum(each[f"{kind}_tokens"] or 0 for each in usage)
            assert total(series, "headrace_tokens_total", type=kind) == tokens
            assert total(series, "gen_ai_client_token_usage_sum", gen_ai_token_type=kind) == tokens
        for tenant in ("acme", "beta"):
            usd = sum(Decimal(cost["cost_usd"]) for cost in costs if cost["tenant"] == tenant and cost["cost_usd"] is not None)
            assert total(series, "headrace_cost_usd_total", tenant=tenant) == pytest.approx(float(usd), abs=1e-12) and usd > 0
        assert total(series, "headrace_cost_unknown_total", model="free") == total(series, "headrace_cost_unknown_total") == 1

        assert total(series, "headrace_dead_letters_total", service="router", reason="undecodable") == 1
        assert total(series, "headrace_notices_total") == await outsider.messages("NOTICES")
        assert total(series, "headrace_queue_wait_seconds_count", stream="REQUESTS") == CHATS + 8
        assert total(series, "messaging_process_duration_seconds_count", messaging_consumer_group_name="meter") == len(attempts)
        assert total(series, "messaging_process_duration_seconds_count", error_type="rejected") == 1
        assert total(series, "headrace_calls_in_flight") == 0
        assert total(series, "headrace_bus_connected") == len(ports)
        assert total(series, "headrace_tenant_budget_usd_per_day") == total(series, "headrace_tenant_budget_usd_per_day", tenant="acme") == 3
        assert total(series, "headrace_stream_messages", stream="RESULTS") == len(results)
        _is_bounded(series)
        missing = {each.declared.name for each in INSTRUMENTS} - ELSEWHERE - _names(series)
        assert not missing
        told = {"headrace-adapters": len(attempts), "headrace-meter": 0, "headrace-router": 0, "headrace-validator": 0}
        await eventually(lambda: _pushed_attempts(receiver) == told, 30, what=f"the same by OTLP; it has {_pushed_attempts(receiver)}")


def _pushed_attempts(receiver: Received) -> dict[str, int]:
    """Attempts by service, as the newest export of each has them."""
    found: dict[str, int] = {}
    for export in list(receiver.exports):
        of = export.resource_metrics[0]
        service = {each.key: each.value.string_value for each in of.resource.attributes}["service.name"]
        points = [point for scope in of.scope_metrics for metric in scope.metrics if metric.name == "headrace.attempts" for point in metric.sum.data_points]
        found[service] = sum(point.as_int for point in points)
    return found


async def _seen(ports: dict[str, int]) -> bool:
    series = await scrape_all(ports.values())
    return bool(
        total(series, "headrace_dead_letters_total")
        and total(series, "headrace_stream_messages", stream="RESULTS") == CHATS + 7
        and total(series, "headrace_provider_health", provider="dead", state="unhealthy") == 1
        and total(series, "headrace_provider_health", provider="fake", state="healthy") == 1
    )


def _is_bounded(series: Series) -> None:
    """Nothing that a request brought along became a label."""
    assert values(series, "headrace_tokens_total", "tenant") <= {"acme", "beta", "_"}
    assert values(series, "headrace_attempts_total", "model") == {"small", "free", "embed"}
    assert values(series, "headrace_request_duration_seconds_count", "kind") == {"chat", "embed", "_"}
    for _, labels in series:
        assert not any("nobody" in value or "made-up" in value or "chat-" in value for _, value in labels)


def _names(series: Series) -> set[str]:
    """The declared names, by what Prometheus makes of them."""
    written = {sample for sample, _ in series}
    found = set()
    for each in INSTRUMENTS:
        name = each.declared.name.replace(".", "_") + ("_seconds" if each.declared.unit == "s" else "")
        if written & {name, f"{name}_total", f"{name}_count"}:
            found.add(each.declared.name)
    return found


@pytest.mark.slow
async def test_a_lane_that_nobody_serves_grows_old_and_a_server_that_is_away_is_told(tmp_path: Path) -> None:
    async with scraped(tmp_path) as (stack, outsider, ports):
        lane = {"stream": "CALLS", "consumer": "adapter-fake-bulk", "lane": "bulk", "provider": "fake"}
        others = [port for service, port in ports.items() if service != "adapters"]
        await outsider.answer("before", within_s=60)
        stack.pause("adapters-1")
        for number in range(3):
            await outsider.ask(f"waits-{number}", lane="bulk")

        async def old() -> bool:
            series = await scrape_all(others)
            waiting = total(series, "headrace_queue_depth", **lane) + total(series, "headrace_queue_in_flight", **lane)
            return waiting == 3 and total(series, "headrace_queue_age_seconds", **lane) > 5

        await eventually(old, 60, 0.5, what="the oldest of three calls is older than five seconds")
        stack.resume("adapters-1")
        for number in range(3):
            await outsider.result(f"waits-{number}", within_s=60)
        await eventually(lambda: _told_once(ports, lane, 0.0), 60, 0.5, what="no call waits any more, and one process says so")

        stack.kill_server()
        await eventually(lambda: _connected(ports, 0), 60, 0.2)
        await stack.restart_server()
        await eventually(lambda: _connected(ports, len(ports)), 60, 0.2)


async def _told_once(ports: dict[str, int], lane: dict[str, str], age_s: float) -> bool:
    """Whether exactly one process tells the lane's age, and what it tells."""
    told = []
    for port in ports.values():
        series = await asyncio.to_thread(scrape, port)
        told += [value for (name, labels), value in series.items() if name == "headrace_queue_age_seconds" and set(lane.items()) <= labels]
    return told == [age_s]


async def _connected(ports: dict[str, int], wanted: int) -> bool:
    return total(await scrape_all(ports.values()), "headrace_bus_connected") == wanted
