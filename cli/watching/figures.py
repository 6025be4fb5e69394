"""What a moment's records add up to: the figures that the screen and the JSON lines show alike. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from bus.backlog import SHARED, Backlog
from bus.health import is_current
from cli.watching.minute import quantile
from cli.watching.traffic import Traffic
from contracts.config import ConfigV1
from contracts.dead_letter import DeadLetterV1
from contracts.health import ProviderHealthV1
from contracts.request import LANES

RATE_S = 10.0
"""Rates are those of the last ten seconds; latencies, errors and spending those of the last minute."""
STAGES = {"REQUESTS": "requests", "CALLS": "calls"}
ANSWERED = "answered"


@dataclass(frozen=True)
class Today:
    """What the ledger says of today (UTC); `why_not` where it was not to be had."""

    usd: Mapping[str, Decimal] = field(default_factory=dict)
    unpriced: Mapping[str, int] = field(default_factory=dict)
    why_not: str | None = None


@dataclass(frozen=True)
class Records:
    """What was read from the bus for one refresh."""

    backlogs: list[Backlog]
    stored_calls: int
    health: Mapping[str, ProviderHealthV1]
    config: ConfigV1 | None
    dead_by_service: Mapping[str, int]
    last_dead: DeadLetterV1 | None
    today: Today


@dataclass
class Lane:
    """`waiting` is the sum of the stages: requests for the router, calls for a provider, answers and failures to be judged."""

    waiting: int = 0
    requests: int = 0
    calls: int = 0
    answers: int = 0
    oldest_s: float | None = None
    in_flight: int = 0
    results_per_s: float = 0.0
    p50_s: float | None = None
    p95_s: float | None = None
    results: dict[str, int] = field(default_factory=dict)
    """By status, since the watch began."""


@dataclass
class Provider:
    health: str = "unknown"
    why: str | None = None
    latency_s: float | None = None
    """Of its last check."""
    in_flight: int = 0
    max_in_flight: int | None = None
    waiting: int = 0
    oldest_s: float | None = None
    attempts_per_s: dict[str, float] = field(default_factory=dict)
    """By outcome."""
    errors: dict[str, int] = field(default_factory=dict)
    """Attempts that were not answered in the last minute, by outcome."""
    attempts: dict[str, int] = field(default_factory=dict)
    """By outcome, since the watch began."""


@dataclass
class Tenant:
    """Money as decimal text; what has no price is counted and not in the sums."""

    today_usd: str | None = None
    today_unpriced: int | None = None
    minute_usd: str = "0"
    minute_unpriced: int = 0
    budget_usd_per_day: str | None = None


@dataclass
class Figures:
    lanes: dict[str, Lane]
    providers: dict[str, Provider]
    tenants: dict[str, Tenant]
    others: dict[str, int]
    """Messages that wait for the consumers of no lane."""
    put_off: int
    """Calls that no consumer counts: scheduled for later, or of a provider that nobody serves."""
    dead_letters: dict[str, Any]
    notices: list[dict[str, Any]]
    today_unknown: str | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def figures(records: Records, traffic: Traffic, now: datetime, now_s: float) -> Figures:
    """All that one refresh shows."""
    held = sum(one.waiting + one.in_flight for one in records.backlogs if one.stream == "CALLS")
    return Figures(
        lanes=_lanes(records.backlogs, traffic, now, now_s),
        providers=_providers(records, traffic, now, now_s),
        tenants=_tenants(records, traffic, now_s),
        others={one.durable: one.waiting for one in records.backlogs if one.lane is None},
        put_off=max(records.stored_calls - held, 0),
        dead_letters={
            "count": sum(records.dead_by_service.values()),
            "by_service": dict(records.dead_by_service),
            "last": None
            if records.last_dead is None
            else records.last_dead.model_dump(mode="json", include={"id", "service", "tenant", "reason", "failed_at"}),
        },
        notices=[notice.model_dump(mode="json", exclude={"details"}) for notice in traffic.notices],
        today_unknown=records.today.why_not,
    )


def _lanes(backlogs: list[Backlog], traffic: Traffic, now: datetime, now_s: float) -> dict[str, Lane]:
    lanes: dict[str, Lane] = {lane: Lane() for lane in LANES}
    for one in backlogs:
        if one.lane is None:
            continue
        lane = lanes.setdefault(one.lane, Lane())
        stage = STAGES.get(one.stream, "answers")
        setattr(lane, stage, getattr(lane, stage) + one.waiting)
        lane.waiting += one.waiting
        lane.in_flight += one.in_flight if one.stream == "CALLS" else 0
        lane.oldest_s = _older(lane.oldest_s, one, now)
    for name, rate in traffic.results.rates(now_s, RATE_S).items():
        lanes.setdefault(name, Lane()).results_per_s = round(rate, 2)
    for (name, status), count in traffic.statuses.items():
        lane = lanes.setdefault(name, Lane())
        lane.results[status] = count
        times = traffic.results.samples(now_s, name)
        lane.p50_s, lane.p95_s = quantile(times, 0.5), quantile(times, 0.95)
    return {name: lane for name, lane in lanes.items() if name != SHARED or lane.waiting or lane.in_flight}


def _providers(records: Records, traffic: Traffic, now: datetime, now_s: float) -> dict[str, Provider]:
    listed = records.config.providers if records.config else ()
    providers = {one.id: Provider(max_in_flight=one.max_in_flight) for one in listed}
    for one in records.backlogs:
        if one.provider is None or (one.provider not in providers and not one.waiting and not one.in_flight):
            continue
        provider = providers.setdefault(one.provider, Provider())
        provider.in_flight += one.in_flight
        provider.waiting += one.waiting
        provider.oldest_s = _older(provider.oldest_s, one, now)
    for name, health in records.health.items():
        if name in providers and is_current(health, now):
            provider = providers[name]
            provider.health, provider.why, provider.latency_s = health.state, health.why, health.latency_s
    for (name, outcome), rate in traffic.attempts.rates(now_s, RATE_S).items():
        providers.setdefault(name, Provider()).attempts_per_s[outcome] = round(rate, 2)
    for (name, outcome), count in traffic.attempts.sums(now_s).items():
        if outcome != ANSWERED:
            providers.setdefault(name, Provider()).errors[outcome] = int(count)
    for (name, outcome), total in traffic.outcomes.items():
        providers.setdefault(name, Provider()).attempts[outcome] = total
    return providers


def _tenants(records: Records, traffic: Traffic, now_s: float) -> dict[str, Tenant]:
    budgets = records.config.tenants or {} if records.config else {}
    today, spent, unpriced = records.today, traffic.spent.sums(now_s), traffic.unpriced.sums(now_s)
    return {
        name: Tenant(
            today_usd=None if today.why_not else f"{today.usd.get(name, Decimal(0)):f}",
            today_unpriced=None if today.why_not else today.unpriced.get(name, 0),
            minute_usd=f"{spent.get(name, Decimal(0)):f}",
            minute_unpriced=int(unpriced.get(name, 0)),
            budget_usd_per_day=_text(budgets[name].budget_usd_per_day) if name in budgets else None,
        )
        for name in _ordered({*budgets, *today.usd, *spent}, spent, today.usd)
    }


def _ordered(names: Iterable[str], spent: Mapping[str, Decimal], today: Mapping[str, Decimal]) -> list[str]:
    """Who spends most stands first: the screen may not have room for all."""
    return sorted(names, key=lambda name: (-spent.get(name, Decimal(0)), -today.get(name, Decimal(0)), name))


def _older(oldest_s: float | None, one: Backlog, now: datetime) -> float | None:
    if one.oldest_at is None:
        return oldest_s
    return round(max((now - one.oldest_at).total_seconds(), oldest_s or 0.0, 0.0), 3)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:f}"
