"""What costs add to the metrics: each event that COSTS holds counts once, under configured names."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bus.configuration import load
from bus.connection import Ack
from bus.delivery import Delivery
from bus.subjects import Subjects
from contracts.cost import CostRecordedV1
from contracts.outcome import AttemptSummaryV1
from observability import metrics
from observability.labels import known
from services.meter.counting import count
from services.meter.handlers import Handlers
from services.meter.ledger import Ledger
from tests.support.metrics import recording_metrics

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CONFIG = """
version: 2
providers: [{id: fake, type: openai, base_url: "http://127.0.0.1:9/v1", models: [{id: small}]}]
tenants: {acme: {}}
"""
COST: dict[str, Any] = {
    "call_id": "acme/job-1/1",
    "request_id": "job-1",
    "tenant": "acme",
    "kind": "chat",
    "lane": "bulk",
    "provider": "fake",
    "model": "small",
    "response_model": None,
    "outcome": "answered",
    "usage": {"input_tokens": 12, "output_tokens": 3, "cache_read_tokens": 4, "cache_write_tokens": 0, "reasoning_tokens": None},
    "cost_usd": "0.1",
    "basis": "usage",
    "price_version": None,
    "metadata": {},
    "occurred_at": NOW,
}


@pytest.fixture(autouse=True)
def _recorded() -> Iterator[None]:
    known.take(load(CONFIG))
    with recording_metrics():
        yield


def cost(**fields: Any) -> CostRecordedV1:
    return CostRecordedV1.model_validate({**COST, **fields})


def test_tokens_and_cost_are_added_up_exactly_and_what_is_zero_or_unknown_makes_no_series() -> None:
    for usd in ("0.1", "0.2"):
        count(cost(cost_usd=usd))
    assert metrics.COST_USD.points() == {("acme", "fake", "small", "usage"): Decimal("0.3")}
    assert metrics.TOKENS_METERED.points() == {
        ("acme", "fake", "small", "input"): 24,
        ("acme", "fake", "small", "output"): 6,
        ("acme", "fake", "small", "cache_read"): 8,
    }
    assert not metrics.COST_UNKNOWN.points()


def test_a_cost_that_nobody_knows_is_counted_as_a_call_and_not_as_nothing() -> None:
    count(cost(cost_usd=None, basis="unknown"))
    assert metrics.COST_UNKNOWN.points() == {("acme", "fake", "small"): 1}
    assert not metrics.COST_USD.points()


@pytest.mark.parametrize("names", [{"tenant": "u-17"}, {"provider": "gone"}, {"model": 'x"} 1\n'}])
def test_a_name_that_is_not_configured_is_told_as_an_underscore(names: dict[str, str]) -> None:
    count(cost(**names))
    [labels] = metrics.COST_USD.points()
    expected = {"tenant": ("_", "fake", "small"), "provider": ("acme", "_", "_"), "model": ("acme", "fake", "_")}[next(iter(names))]
    assert labels[:3] == expected


def test_only_the_tenant_default_exists_where_none_is_configured() -> None:
    known.take(load('{"version": 2}'))
    assert (known.tenant("default"), known.tenant("acme")) == ("default", "_")


class Deduplicating:
    """Takes a message id once, as COSTS does."""

    def __init__(self) -> None:
        self.subjects, self.seen = Subjects(), set[str]()

    async def publish(self, subject: str, body: bytes, headers: dict[str, str] | None = None, *, msg_id: str = "") -> Ack:
        duplicate = msg_id in self.seen
        self.seen.add(msg_id)
        return Ack(duplicate=duplicate)


def test_an_attempt_that_is_delivered_again_is_counted_once(tmp_path: Path) -> None:
    summary = AttemptSummaryV1(n=1, provider="fake", model="small", outcome="answered", cost_usd=Decimal("0.1")).model_dump_json()
    origin = '{"request_id":"job-1","tenant":"acme","kind":"chat","route":null,"lane":"bulk","metadata":{},"request_seq":1,"request_sha256":"0",'
    times = f'"requested_at":"{NOW.isoformat()}","deadline":"{NOW.isoformat()}"}}'
    body = f'{{"origin":{origin}{times},"summary":{summary},"cost_basis":"usage","occurred_at":"{NOW.isoformat()}"}}'.encode()
    tokens = ["attempt", "answered", "bulk", "acme", "job-1", "1"]

    async def run() -> None:
        ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
        ledger.create()
        handlers = Handlers(Deduplicating(), ledger)  # type: ignore[arg-type]  # a fake in the shape of the bus
        for deliveries in (1, 2):
            await handlers.on_attempt(Delivery(".".join(tokens), tokens, body, {}, "ATTEMPTS", 5, deliveries, NOW))
        await handlers.close()

    asyncio.run(run())
    assert metrics.COST_USD.points() == {("acme", "fake", "small", "usage"): Decimal("0.1")}
