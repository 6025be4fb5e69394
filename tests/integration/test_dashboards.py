"""A real pipeline with traffic of every kind, a real Prometheus that scrapes it: every panel and every alert finds series."""

import asyncio
import json
import math
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bus.probes import PORT
from bus.provision import Sizing, provision
from bus.server import free_port
from tests.deploy.declared import vectors
from tests.deploy.panels import questions
from tests.deploy.test_rules import ALERTS
from tests.support.client import Outsider
from tests.support.metrics import begin_scraped
from tests.support.processes import eventually
from tests.support.prometheus import Prometheus
from tests.support.stack import Stack, configuration, fake_provider

UNPROVOKED = (re.compile(r"llm_optimizer_fallback_total"), re.compile(r'why="fault"'))
"""Recorded by faults of ours alone; tests of their own make them."""
EXPECTED = {
    "HeadraceDeadLetters",
    "HeadraceErrorNotice",
    "HeadraceOutcomeUnknown",
    "HeadraceCollectorDown",
    "HeadraceProviderDown",
    "HeadraceProviderRefusesUs",
}
"""What this traffic gives reason to."""


def config(stack: Stack) -> dict[str, Any]:
    gone = {**fake_provider(f"http://127.0.0.1:{free_port()}/v1"), "id": "gone"}
    return configuration(stack.base_url, providers=[fake_provider(stack.base_url), gone], tenants={"acme": {"budget_usd_per_day": 3}, "beta": {}})


@asynccontextmanager
async def watched(folder: Path) -> AsyncIterator[tuple[Stack, Outsider, Prometheus]]:
    stack = Stack(folder)
    prometheus = None
    try:
        await stack.start_servers()
        await stack.start_provider()
        ports = await begin_scraped(stack, config(stack), {"HEADRACE_ADAPTERS_HEALTH_INTERVAL_S": "1"})
        bus = await stack.bus()
        await provision(bus, Sizing(requests_max_bytes=64 << 20))
        await bus.close()
        ports["indexer"] = free_port()
        stack.start("indexer-1", {"OTEL_SDK_DISABLED": "false", PORT: str(ports["indexer"]), "HEADRACE_INDEXER_DATA_DIR": str(folder)})
        await stack.ready("indexer-1")
        jobs = {f"headrace-{service}": port for service, port in ports.items()}
        prometheus = Prometheus(folder / "prometheus", {**jobs, "otel-collector": free_port()})
        await prometheus.start()
        async with Outsider(stack.url) as outsider:
            yield stack, outsider, prometheus
    finally:
        if prometheus is not None:
            prometheus.stop()
        await asyncio.to_thread(stack.end)


async def traffic(outsider: Outsider, turn: str) -> None:
    """Each lane, each way to end, streams, caches, retries, a dead letter."""
    asked = {
        "one": outsider.ask(f"{turn}-one", lane="interactive"),
        "two": outsider.ask(f"{turn}-two", "[[cached 7]]", lane="bulk"),
        "streamed": outsider.ask(f"{turn}-streamed", stream=True),
        "again": outsider.ask(f"{turn}-again", f"[[status 503 x1]] {turn}"),
        "key": outsider.ask(f"{turn}-key", "[[status 401]]"),
        "gone": outsider.ask(f"{turn}-gone", model="gone/small"),
        "late": outsider.ask(f"{turn}-late", "[[delay 5]]", timeout_s=0.5),
        "free": outsider.ask(f"{turn}-free", model="fake/free"),
        "nobody": outsider.ask(f"{turn}-nobody", model="fake/nobody"),
        "vectors": outsider.request({"id": f"{turn}-vectors", "input": ["one"]}, kind="embed"),
    }
    await asyncio.gather(*asked.values(), outsider.request(b"\xff not JSON"), outsider.ask(f"{turn}-other", tenant="beta"))
    for name in asked:
        await outsider.result(f"{turn}-{name}", within_s=60)
    await outsider.result(f"{turn}-other", "beta", 60)


async def look_up(outsider: Outsider, turn: str) -> None:
    """A document is stored, and again with another title; it is found, then deleted."""
    subject = "llm.v1.document.acme.notes"
    for number in range(2):
        body = {"id": turn, "content": "Water falls from the mill pond.", "title": f"{turn} {number}"}
        await outsider.js.publish(f"{subject}.{turn}", json.dumps(body).encode())

    async def found() -> bool:
        answer = await outsider.nc.request("llm.v1.query.search.acme", b'{"text": "water", "kind": "document"}', timeout=30)
        return any(hit["title"] == f"{turn} 1" for hit in json.loads(answer.data)["hits"])

    await eventually(found, 60, 0.5)
    await outsider.js.publish(f"{subject}.{turn}", json.dumps({"id": turn, "operation": "delete"}).encode())


async def begin_and_kill(stack: Stack, outsider: Outsider, port: str) -> None:
    """A call whose adapter dies, so that nobody knows how it ended; another process takes the place of the dead one."""
    await outsider.ask("killed", "[[stall]]", timeout_s=40)
    await eventually(lambda: stack.calls("killed"), 30)
    stack.kill("adapters-1")
    stack.start("adapters-1", {"OTEL_SDK_DISABLED": "false", PORT: port, "HEADRACE_ADAPTERS_HEALTH_INTERVAL_S": "1"})
    await stack.ready("adapters-1")


async def refuse_costs(outsider: Outsider) -> None:
    """The stream COSTS takes nothing for a while: the meter hands its messages back."""
    stream = (await outsider.js.stream_info("COSTS")).config
    full = stream.evolve(max_msgs=1, discard="new")
    await outsider.js.update_stream(full)
    await outsider.answer("unbilled", within_s=60)
    await asyncio.sleep(3)  # nothing to wait for from outside but that it was tried
    await outsider.js.update_stream(stream)
    await outsider.idle("meter", "ATTEMPTS")


def unanswerable(query: str) -> bool:
    return any(pattern.search(query) for pattern in UNPROVOKED)


@pytest.mark.promtool
@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_every_panel_and_every_alert_finds_series_in_a_prometheus_that_scrapes_a_real_pipeline(tmp_path: Path) -> None:
    if not Prometheus.installed():
        pytest.skip("prometheus is not installed: Debian's package 'prometheus' has it")
    began = time.time()
    async with watched(tmp_path) as (stack, outsider, prometheus):
        await traffic(outsider, "first")
        await look_up(outsider, "first")
        await eventually(lambda: prometheus.series('headrace_notices_total{severity="error"}'), 60, 1)
        await begin_and_kill(stack, outsider, str(prometheus.targets["headrace-adapters"]))
        await refuse_costs(outsider)
        await traffic(outsider, "second")
        await look_up(outsider, "second")
        await eventually(lambda: prometheus.series('headrace_attempts_total{outcome="outcome_unknown"}'), 90, 1)
        await traffic(outsider, "third")
        await eventually(lambda: prometheus.series('headrace_provider_health{provider="gone", state="unhealthy"} == 1'), 60, 1)
        await asyncio.sleep(3)

        empty = [found for found in [await _unanswered(prometheus, question, began) for question in questions()] if found]
        assert empty == []
        selectors = {re.sub(r" offset \w+$", "", vector) for alert in ALERTS for vector in vectors(alert["expr"])}
        assert [
            selector for selector in sorted(selectors) if not unanswerable(selector) and not await prometheus.series(f"last_over_time({selector}[1h])")
        ] == []

        rules = [rule for group in (await prometheus.ask("rules"))["groups"] for rule in group["rules"]]
        assert len(rules) == len(ALERTS)
        assert [(rule["name"], rule["lastError"]) for rule in rules if rule["health"] != "ok"] == []
        assert {rule["name"] for rule in rules if rule["state"] != "inactive"} >= EXPECTED


async def _unanswered(prometheus: Prometheus, question: Any, began: float) -> str | None:
    """Where a panel's question brings no number, what was asked."""
    if unanswerable(question.query):
        return None
    found = await prometheus.over_time(question.query, began, time.time())
    numbers = [float(value) for series in found for _, value in series["values"]]
    return None if any(math.isfinite(number) for number in numbers) else f"{question.dashboard}: {question.panel}: {question.query}"
