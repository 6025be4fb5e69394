"""Made-up calls as the streams tell them, from a seed, and by plain arithmetic what they cost before and after a correction of prices."""

import json
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from bus.subjects import Subjects

START = datetime(2026, 1, 1, tzinfo=UTC)
TENANTS = ("acme", "beta", "gamma")
OLD = {"large": (300, 1500), "medium": (80, 400), "small": (15, 60), "tiny": (5, 20)}
NEW = {**OLD, "medium": (100, 300)}
"""US cents a million tokens: input, output."""
CENT_MTOK = 10**8


@dataclass
class Totals:
    """Calls and USD by tenant and model."""

    calls: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    old_usd: dict[tuple[str, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    new_usd: dict[tuple[str, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def add(self, tenant: str, model: str, old: Decimal, new: Decimal) -> None:
        key = (tenant, model)
        self.calls[key] += 1
        self.old_usd[key] += old
        self.new_usd[key] += new


def configuration(prices: dict[str, tuple[int, int]]) -> dict[str, Any]:
    """The configuration of the provider that all calls went to."""

    def usd(cents: int) -> str:
        return str(Decimal(cents) / 100)

    models = [{"id": model, "price": {"input_mtok": usd(given), "output_mtok": usd(made)}} for model, (given, made) in prices.items()]
    return {"version": 2, "providers": [{"id": "p", "type": "openai", "base_url": "http://127.0.0.1:1/v1", "models": models}]}


def messages(count: int, seed: int, totals: Totals) -> Iterator[tuple[str, bytes]]:
    """Subject and body of every event. `totals` grows along with them.

    Of 100 calls one was lost and answered late (two events), one was refused for nothing, one was priced by its provider, and one has no cost yet.
    """
    chance, subjects, models = random.Random(seed), Subjects(), tuple(OLD)
    for number in range(count):
        tenant, model, special = chance.choice(TENANTS), chance.choice(models), chance.randrange(100)
        given, made = chance.randrange(10, 5000), chance.randrange(1, 1500)
        old, new = _usd(OLD[model], given, made), _usd(NEW[model], given, made)
        if special == 1:
            given = made = 0
            old = new = Decimal(0)
        elif special == 2:
            old = new = Decimal(chance.randrange(1, 10**6)) / 10**6
        totals.add(tenant, model, old, new)
        event = _cost(number, tenant, model, given, made, old, special)
        if special == 0:
            lost = {"usage": {}, "cost_usd": "0.5", "basis": "estimate", "outcome": "outcome_unknown", "late": False}
            yield subjects.cost(tenant), _bytes({**event, **lost})
        if special == 3:
            yield subjects.attempt("answered", "standard", tenant, str(event["request_id"]), 1), _bytes(_attempt(event))
        else:
            yield subjects.cost(tenant), _bytes(event)


def _usd(cents: tuple[int, int], given: int, made: int) -> Decimal:
    return Decimal(given * cents[0] + made * cents[1]) / CENT_MTOK


def _bytes(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode()


def _cost(number: int, tenant: str, model: str, given: int, made: int, cost: Decimal, special: int) -> dict[str, Any]:
    at = START + timedelta(seconds=30 * number)
    return {
        "call_id": f"{tenant}/job-{number}/1",
        "request_id": f"job-{number}",
        "tenant": tenant,
        "kind": "chat",
        "lane": "standard",
        "provider": "p",
        "model": model,
        "response_model": f"{model}-2026-01-01",
        "outcome": "rate_limited" if special == 1 else "answered",
        "usage": {"input_tokens": given, "output_tokens": made, "cache_read_tokens": 0, "cache_write_tokens": 0},
        "cost_usd": f"{cost:f}",
        "basis": "provider" if special == 2 else "usage",
        "price_version": "config@1",
        "metadata": {"ticket": f"T-{number % 500}"},
        "occurred_at": at.isoformat(),
        "requested_at": (at - timedelta(seconds=1)).isoformat(),
        "route": "default",
        "late": special == 0,
    }


def _attempt(event: dict[str, Any]) -> dict[str, Any]:
    told = ("request_id", "tenant", "kind", "route", "lane", "metadata", "requested_at")
    summarised = ("provider", "model", "outcome", "usage", "cost_usd")
    return {
        "origin": {**{name: event[name] for name in told}, "request_seq": 1, "request_sha256": "0" * 64, "deadline": event["occurred_at"]},
        "slip": {"candidates": []},
        "summary": {"n": 1, **{name: event[name] for name in summarised}},
        "message": {"role": "assistant", "content": "The quick brown fox jumps over the lazy dog."},
        **{name: event[name] for name in ("response_model", "price_version", "occurred_at")},
        "cost_basis": event["basis"],
        "call_seq": 1,
    }
