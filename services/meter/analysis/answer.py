"""The whole analysis as an answer in JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Engine

from services.meter.analysis.figures import Group, Latency, spread
from services.meter.analysis.findings import by_hour_of_day, by_model, by_provider, findings, limits, share_answered, state_of
from services.meter.analysis.measuring import groups, latencies, outliers
from services.meter.report import Choice


def analysed(engine: Engine, choice: Choice) -> dict[str, Any]:
    """What was measured in a window, and what is worth a look in it."""
    found = groups(engine, choice)
    unusual = outliers(engine, choice, limits(found))
    return {
        "since": choice.since.isoformat() if choice.since else None,
        "until": choice.until.isoformat() if choice.until else None,
        "calls": sum(one.calls for one in found),
        "findings": [asdict(one) for one in findings(found, unusual)],
        "providers": _providers(found, latencies(engine, choice)),
        "models": [_model(group) for group in by_model(found).values()],
        "hours": [_hour(hour, group) for hour, group in by_hour_of_day(found).items()],
    }


def _providers(found: Sequence[Group], times: dict[str, Latency]) -> list[dict[str, Any]]:
    rows = []
    for provider, group in by_provider(found).items():
        share, took = share_answered(group), times.get(provider)
        facts = {"provider": provider, "calls": group.calls, "reliability": share, "state": state_of(share)}
        rows.append({**facts, **{name: getattr(took, name, None) for name in ("p50_s", "p95_s", "p99_s")}})
    return rows


def _model(group: Group) -> dict[str, Any]:
    """What a model costs and gives; null where nothing is known of it."""
    tokens = spread(group, "tokens")
    return {
        "provider": group.provider,
        "model": group.model,
        "calls": group.calls,
        "answered": group.answered,
        "tokens_per_call": tokens.mean if tokens.count else None,
        "cost_known_usd": f"{group.cost_usd:f}",
        "wasted_usd": f"{group.wasted_usd:f}",
        "usd_per_1k_output_tokens": f"{group.cost_usd * 1000 / group.output_tokens:.6f}" if group.output_tokens else None,
        "cache_hit_rate": group.cache_hits / group.cache_known if group.cache_used else None,
    }


def _hour(hour: str, group: Group) -> dict[str, Any]:
    duration = spread(group, "duration_s")
    return {"hour": hour, "calls": group.calls, "error_rate": 1 - group.answered / group.calls, "duration_s": duration.mean if duration.count else None}
