"""Synthetic series through the ledger: each gives its finding, a flat one none; the figures are those of plain arithmetic."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import ceil
from pathlib import Path
from random import Random
from typing import Any

import pytest

from contracts.cost import CostRecordedV1
from contracts.outcome import UsageV1
from services.meter.analysis.answer import analysed
from services.meter.analysis.figures import spread
from services.meter.analysis.findings import FEWEST, findings, limits
from services.meter.analysis.measuring import PROVIDER_FAULTS, REQUEST_FAULTS, groups, latencies
from services.meter.entries import row_of_cost
from services.meter.ledger import Ledger
from services.meter.report import Choice

START = datetime(2026, 11, 20, 0, 0, tzinfo=UTC)
EVER = Choice()
numbers = itertools.count()


def call(hour: float, **changed: Any) -> dict[str, Any]:
    """A row of the ledger: an ordinary call that ended `hour` hours after the start."""
    facts: dict[str, Any] = {
        "took_s": 1.0,
        "input": 100,
        "output": 50,
        "read": 0,
        "written": 0,
        "outcome": "answered",
        "cost": "0.001",
        "n": 1,
        "tenant": "acme",
    } | changed
    ended = START + timedelta(hours=hour)
    event = CostRecordedV1(
        call_id=f"{facts['tenant']}/r{next(numbers)}/{facts['n']}",
        request_id="r",
        tenant=facts["tenant"],
        kind="chat",
        lane="standard",
        provider=facts.get("provider", "own"),
        model=facts.get("model", "small"),
        response_model=None,
        outcome=facts["outcome"],
        usage=UsageV1(input_tokens=facts["input"], output_tokens=facts["output"], cache_read_tokens=facts["read"], cache_write_tokens=facts["written"]),
        cost_usd=None if facts["cost"] is None else Decimal(facts["cost"]),
        basis="usage",
        price_version=None,
        metadata={},
        occurred_at=ended,
        requested_at=ended - timedelta(seconds=5),
        duration_s=facts["took_s"],
    )
    return row_of_cost(event)


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Ledger]:
    """For rules that are the same on every database."""
    made = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    made.create()
    yield made
    made.close()


def flat(calls_an_hour: int = 3, hours: int = 48, **changed: Any) -> list[dict[str, Any]]:
    return [call(hour + place / calls_an_hour, **changed) for hour in range(hours) for place in range(calls_an_hour)]


def found(ledger: Ledger, rows: Iterable[dict[str, Any]], choice: Choice = EVER) -> dict[str, Any]:
    ledger.merge(list(rows))
    return analysed(ledger.engine, choice)


def kinds(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["kind"], one["subject"]) for one in answer["findings"]]


def test_a_flat_series_gives_no_finding(ledger: Ledger) -> None:
    random = Random(1)
    even = [call(hour / 10, took_s=random.uniform(0.9, 1.1), input=random.randint(90, 110)) for hour in range(480)]
    answer = found(ledger, [*flat(), *even])
    assert answer["findings"] == []
    assert (answer["calls"], answer["providers"][0]["state"], answer["providers"][0]["reliability"]) == (624, "healthy", 1.0)


def test_a_gaussian_series_gives_no_finding(sqlite: Ledger) -> None:
    random = Random(2)
    assert found(sqlite, [call(number / 50, took_s=random.gauss(10, 1), input=int(random.gauss(1000, 100))) for number in range(2000)])["findings"] == []


def test_an_empty_ledger_has_nothing_to_say(ledger: Ledger) -> None:
    assert found(ledger, []) == {"since": None, "until": None, "calls": 0, "findings": [], "providers": [], "models": [], "hours": []}


Series = Callable[[], list[dict[str, Any]]]


@pytest.mark.parametrize(
    ("series", "expected", "measured"),
    [
        pytest.param(lambda: [*flat(), call(5, took_s=60)], [("unusual_duration", "own/small")], 60, id="one slow call"),
        pytest.param(lambda: [*flat(), call(5, output=5000)], [("unusual_tokens", "own/small")], 5100, id="one long call"),
        pytest.param(
            lambda: flat(hours=36) + flat()[-36:-1] + [call(50 + n, took_s=2) for n in range(200)], [("trend_duration", "own/small")], None, id="slower"
        ),
        pytest.param(lambda: flat(hours=24) + [call(24 + n / 3, input=400) for n in range(72)], [("trend_tokens", "own/small")], 2.0, id="larger"),
        pytest.param(lambda: flat() + [call(n, outcome="timeout") for n in range(12)], [("reliability", "own")], 144 / 156, id="degraded"),
        pytest.param(lambda: flat() + [call(n, outcome="unavailable", cost="0") for n in range(48)], [("reliability", "own")], 0.75, id="unhealthy"),
        pytest.param(lambda: flat() + [call(n, outcome="invalid_request") for n in range(12)], [("refused_calls", "own/small")], 12 / 156, id="refused"),
        pytest.param(lambda: flat(input=10_001, output=0), [("large_calls", "own/small"), ("many_tokens", "own/small")], 144, id="large calls"),
        pytest.param(lambda: flat(input=6_000), [("many_tokens", "own/small")], 6050, id="many tokens"),
        pytest.param(lambda: flat(took_s=11), [("slow", "own/small")], 11, id="slow"),
        pytest.param(
            lambda: flat(written=100) + [call(n, read=100) for n in range(20)], [("cache_hit_rate", "own/small")], 20 / 164, id="a cache that is not read"
        ),
        pytest.param(
            lambda: flat() + [call(n, outcome="timeout", cost="0.004") for n in range(7)], [("wasted_cost", "own/small")], 0.028 / 0.172, id="paid for nothing"
        ),
        pytest.param(lambda: flat() + [call(9 + n / 20) for n in range(20)], [("busy_hour", "09:00")], 26 / (164 / 24), id="a busy hour"),
    ],
)
def test_each_synthetic_series_gives_its_finding(sqlite: Ledger, series: Series, expected: list[tuple[str, str]], measured: float | None) -> None:
    answer = found(sqlite, series())
    assert kinds(answer) == expected
    first = answer["findings"][0]
    assert measured is None or first["measured"] == pytest.approx(measured, rel=0.01)
    assert first["what"]
    assert first["to_do"]


def test_more_failures_later_are_a_trend(sqlite: Ledger) -> None:
    answer = found(sqlite, flat(10) + [call(40 + n / 10, outcome="timeout", cost="0") for n in range(20)])
    assert kinds(answer) == [("trend_errors", "own/small")]


@pytest.mark.parametrize(("calls", "says"), [(FEWEST - 1, False), (FEWEST, False), (FEWEST + 1, True)])
def test_an_outlier_needs_more_than_ten_samples(sqlite: Ledger, calls: int, says: bool) -> None:
    answer = found(sqlite, [call(n / 100) for n in range(calls - 1)] + [call(0.5, took_s=30)])
    assert (("unusual_duration", "own/small") in kinds(answer)) is says


@pytest.mark.parametrize(("failed", "state"), [(0, "healthy"), (4, "healthy"), (5, "degraded"), (19, "degraded"), (20, "unhealthy"), (99, "unhealthy")])
def test_reliability_has_two_thresholds(sqlite: Ledger, failed: int, state: str) -> None:
    rows = [call(n / 100) for n in range(100 - failed)] + [call(n / 100, outcome="overloaded") for n in range(failed)]
    assert found(sqlite, rows)["providers"][0]["state"] == state


def test_what_a_request_is_to_blame_for_does_not_make_a_provider_unreliable(ledger: Ledger) -> None:
    rows = [call(n / 100) for n in range(20)] + [call(n / 100, outcome=outcome) for n, outcome in enumerate(REQUEST_FAULTS * 10)]
    assert found(ledger, rows)["providers"][0]["reliability"] == 1.0
    assert set(PROVIDER_FAULTS) & set(REQUEST_FAULTS) == set()
    assert {"timeout", "outcome_unknown", "rate_limited"} <= set(PROVIDER_FAULTS)


def test_a_model_without_a_prompt_cache_is_not_blamed_for_not_reading_it(sqlite: Ledger) -> None:
    answer = found(sqlite, flat(read=0, written=0))
    assert (answer["findings"], answer["models"][0]["cache_hit_rate"]) == ([], None)


def test_the_worst_call_is_named_and_can_be_traced(ledger: Ledger) -> None:
    worst = call(5, took_s=90)
    answer = found(ledger, [*flat(), call(4, took_s=80), worst])
    (one,) = answer["findings"]
    assert worst["call_id"] in one["what"]
    assert one["what"].startswith("2 call(s)")
    assert one["to_do"] == f"headrace trace {worst['call_id'].split('/')[1]}"


def test_window_and_tenant_are_kept_to(ledger: Ledger) -> None:
    ledger.merge(flat() + flat(tenant="beta", took_s=20) + [call(1, outcome="timeout") for _ in range(50)])
    later = Choice(since=START + timedelta(hours=2), tenant="acme")
    assert analysed(ledger.engine, later)["findings"] == []
    assert kinds(analysed(ledger.engine, Choice(tenant="beta"))) == [("slow", "own/small")]


def test_figures_are_those_of_plain_arithmetic(ledger: Ledger) -> None:
    random = Random(7)
    rows = []
    for _ in range(400):
        outcome = random.choice(["answered"] * 5 + ["timeout", "invalid_request"])
        known = {} if random.random() > 0.1 else {"input": None, "output": None, "read": None, "cost": None}
        facts = {
            "provider": random.choice("ab"),
            "took_s": random.choice([None, *[round(random.expovariate(1), 3)] * 9]),
            "input": random.randint(0, 20_000),
            "read": random.choice([0, 0, 5]),
            "cost": f"{random.random():.6f}",
            "n": random.choice([1, 1, 2]),
        }
        rows.append(call(random.uniform(0, 5), outcome=outcome, **(facts | known)))
    ledger.merge(rows)
    measured = groups(ledger.engine, EVER)
    assert len(measured) == 10 or len(measured) == 12
    for group in measured:
        mine = [row for row in rows if (row["occurred_at"][:13], row["provider"]) == (group.hour, group.provider)]
        answered = [row for row in mine if row["outcome"] == "answered"]
        assert (group.calls, group.answered) == (len(mine), len(answered))
        assert group.faults + group.refused + group.answered == group.calls
        times = sorted(row["duration_s"] for row in answered if row["duration_s"] is not None)
        assert group.timed == len(times)
        assert group.duration_s == pytest.approx(sum(times))
        tokens = [row["input_tokens"] + row["output_tokens"] for row in mine if row["input_tokens"] is not None]
        assert (group.counted, group.tokens) == (len(tokens), sum(tokens))
        assert group.large == sum(count > 10_000 for count in tokens)
        assert group.cache_hits == sum(bool(row["cache_read_tokens"]) for row in answered)
        assert group.cache_known == sum(row["cache_read_tokens"] is not None for row in answered)
        assert group.cost_usd == sum(Decimal(row["cost_usd"]) for row in mine if row["cost_usd"])
        assert group.wasted_usd == sum(Decimal(row["cost_usd"]) for row in mine if row["cost_usd"] and row["outcome"] != "answered")
    for provider, latency in latencies(ledger.engine, EVER).items():
        times = sorted(row["duration_s"] for row in rows if row["outcome"] == "answered" and row["duration_s"] is not None and row["provider"] == provider)
        for part, value in ((0.5, latency.p50_s), (0.95, latency.p95_s), (0.99, latency.p99_s)):
            assert value == pytest.approx(times[ceil(part * len(times)) - 1])


def test_a_spread_of_equal_values_is_nothing(sqlite: Ledger) -> None:
    sqlite.merge(flat(input=12345))
    measured = groups(sqlite.engine, EVER)
    assert spread(measured[0], "tokens").deviation == 0
    assert all(key[1] != "tokens" for key in limits(measured))
    assert [one.kind for one in findings(measured, [])] == ["large_calls", "many_tokens"]
