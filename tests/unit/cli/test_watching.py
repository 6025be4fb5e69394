"""What the watch counts, and how it fits on a screen."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bus.backlog import Backlog
from cli.watching.figures import Records, Today, figures
from cli.watching.minute import SAMPLES_A_SECOND, Minute, quantile
from cli.watching.screen import Moment, line, screen, shared_out, usd
from cli.watching.traffic import Traffic
from contracts.config import ConfigV1
from contracts.health import ProviderHealthV1

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


def cost(call_id: str, **fields: Any) -> bytes:
    return json.dumps({"call_id": call_id, "tenant": "acme", "provider": "own", "outcome": "answered", "cost_usd": "0.5", **fields}).encode()


def result(lane: str | None, took_s: float | None, status: str = "succeeded") -> bytes:
    asked = None if took_s is None else (NOW - timedelta(seconds=took_s)).isoformat()
    return json.dumps({"status": status, "lane": lane, "requested_at": asked, "finished_at": NOW.isoformat()}).encode()


def records(**fields: Any) -> Records:
    none: dict[str, Any] = {
        "backlogs": [],
        "stored_calls": 0,
        "health": {},
        "config": None,
        "dead_by_service": {},
        "last_dead": None,
        "today": Today(why_not="no meter"),
    }
    return Records(**{**none, **fields})


def test_a_minute_forgets_what_is_older() -> None:
    minute: Minute[str] = Minute(0)
    for second in range(120):
        minute.add(second + 0.5, "a")
    assert minute.sums(119.9) == {"a": 60}
    assert minute.sums(150.0) == {"a": 29}
    assert minute.sums(300.0) == {}


def test_a_rate_is_that_of_whole_seconds_also_just_after_the_beginning() -> None:
    minute: Minute[str] = Minute(100.0)
    for tenth in range(30):
        minute.add(100 + tenth / 10, "a")
    assert minute.rates(103.0, 10) == {"a": 10.0}
    steady: Minute[str] = Minute(0)
    for tenth in range(600):
        steady.add(tenth / 10, "a")
    assert steady.rates(59.95, 10)["a"] == pytest.approx(10, rel=0.02)


def test_what_is_kept_of_a_second_is_bounded_and_fair() -> None:
    minute: Minute[str] = Minute(0)
    for number in range(100_000):
        minute.add(1.0, "a", measured=float(number))
    samples = minute.samples(1.0, "a")
    assert len(samples) == SAMPLES_A_SECOND
    assert quantile(samples, 0.5) == pytest.approx(50_000, rel=0.2)


@pytest.mark.parametrize(("part", "expected"), [(0.5, 10.0), (0.95, 19.0), (0.99, 20.0), (1.0, 20.0)])
def test_a_quantile_is_a_value_that_was_measured(part: float, expected: float) -> None:
    assert quantile([float(number) for number in range(1, 21)], part) == expected
    assert quantile([], part) is None


def test_a_call_that_is_told_twice_is_spent_once() -> None:
    traffic = Traffic(0)
    for body in (cost("acme/1/1"), cost("acme/1/1"), cost("acme/1/1", late=True), cost("acme/2/1", repriced_at=NOW.isoformat()), cost("acme/3/1")):
        traffic.cost(1.0, body)
    assert traffic.spent.sums(1.0) == {"acme": Decimal("1.0")}
    assert traffic.outcomes == {("own", "answered"): 2}


def test_an_unknown_price_is_counted_and_not_zero() -> None:
    traffic = Traffic(0)
    traffic.cost(1.0, cost("acme/1/1", cost_usd=None))
    tenant = figures(records(), traffic, NOW, 1.0).tenants["acme"]
    assert (tenant.minute_usd, tenant.minute_unpriced, tenant.today_usd) == ("0", 1, None)


def test_what_cannot_be_read_is_counted() -> None:
    traffic = Traffic(0)
    traffic.result(1.0, b"\xff")
    traffic.result(1.0, result("bulk", 0.25, "failed"))
    assert (traffic.unreadable, traffic.statuses) == (1, {("bulk", "failed"): 1})


def test_a_lane_sums_its_stages_and_has_the_oldest_of_all() -> None:
    backlogs = [
        Backlog("REQUESTS", "router-bulk", 7, 1, 1000, NOW - timedelta(seconds=3)),
        Backlog("CALLS", "adapter-own-bulk", 5, 2, 8, NOW - timedelta(seconds=90)),
        Backlog("CALLS", "adapter-other-one-bulk", 1, 1, 8, NOW),
        Backlog("ATTEMPTS", "validator-bulk", 2, 1, 1000, NOW - timedelta(seconds=1)),
        Backlog("ATTEMPTS", "meter", 9, 0, 4000, NOW - timedelta(seconds=200)),
    ]
    found = figures(records(backlogs=backlogs, stored_calls=12), Traffic(0), NOW, 1.0)
    lane = found.lanes["bulk"]
    assert (lane.waiting, lane.requests, lane.calls, lane.answers, lane.in_flight, lane.oldest_s) == (15, 7, 6, 2, 3, 90.0)
    assert (found.providers["own"].waiting, found.providers["other-one"].in_flight) == (5, 1)
    assert (found.others, found.put_off) == ({"meter": 9}, 3)


def test_each_lane_has_the_results_times_and_rate_of_its_own() -> None:
    traffic = Traffic(0)
    for lane, took_s, results in (("interactive", 0.25, 1), ("standard", 4.0, 2), ("bulk", 60.0, 3), ("batch", 900.0, 4)):
        for _ in range(results):
            traffic.result(9.0, result(lane, took_s))
    lanes = figures(records(), traffic, NOW, 10.0).lanes
    told = {name: (lane.results["succeeded"], lane.p50_s, lane.p95_s, lane.results_per_s) for name, lane in lanes.items()}
    assert told == {"interactive": (1, 0.25, 0.25, 0.11), "standard": (2, 4.0, 4.0, 0.22), "bulk": (3, 60.0, 60.0, 0.33), "batch": (4, 900.0, 900.0, 0.44)}


def test_health_that_nobody_renewed_is_unknown() -> None:
    config = ConfigV1.model_validate({"version": 2, "providers": [{"id": name, "type": "openai", "models": [{"id": "m"}]} for name in ("fresh", "stale")]})
    health = {
        name: ProviderHealthV1(provider=name, state="unhealthy", checked_at=NOW - timedelta(seconds=age), valid_s=30)
        for name, age in (("fresh", 29), ("stale", 31))
    }
    found = figures(records(config=config, health=health), Traffic(0), NOW, 1.0).providers
    assert (found["fresh"].health, found["stale"].health) == ("unhealthy", "unknown")


@given(st.integers(0, 60), st.lists(st.integers(0, 40), min_size=1, max_size=6))
def test_lines_are_shared_out_fairly_and_none_is_lost(room: int, needs: list[int]) -> None:
    given_ = shared_out(room, needs)
    assert sum(given_) == min(room, sum(needs))
    assert all(one <= need for one, need in zip(given_, needs, strict=True))
    hungry = [one for one, need in zip(given_, needs, strict=True) if one < need]
    assert all(one <= min(hungry) + 1 for one in given_) if hungry else True


def crowded() -> Moment:
    """More of everything than a screen holds, with text that would move the cursor or be taken for markup."""
    providers = [{"id": f"provider-{number}-with-a-long-name", "type": "openai", "models": [{"id": "m"}]} for number in range(30)]
    config = ConfigV1.model_validate({"version": 2, "providers": providers, "tenants": {f"tenant-{number}": {} for number in range(30)}})
    traffic = Traffic(0)
    for number in range(40):
        traffic.cost(1.0, cost(f"a/{number}/1", provider=f"provider-{number % 30}-with-a-long-name", outcome="timeout", tenant=f"tenant-{number % 30}"))
        message = f"\x1b[2J[red]what a producer sent[/red]\r\n{'x' * 300}"
        notice = {"severity": "warning", "kind": "conflict", "service": "router", "message": message, "occurred_at": NOW.isoformat()}
        traffic.notice(json.dumps(notice).encode())
    backlogs = [Backlog("CALLS", f"adapter-own-{lane}", 10**6, 400, 400, NOW) for lane in ("interactive", "standard", "bulk", "batch", "all")]
    return Moment("nats://" + "n" * 60, NOW, figures(records(config=config, backlogs=backlogs, today=Today()), traffic, NOW, 1.0), None, NOW)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (120, 40), (240, 70)])
@pytest.mark.parametrize("problem", [None, "the server is away, waiting for it"])
def test_a_crowded_screen_stays_within_the_terminal(width: int, height: int, problem: str | None) -> None:
    full = crowded()
    moment = Moment(full.url, full.at, full.figures, problem, full.read_at)
    out = StringIO()
    Console(file=out, width=width, height=height).print(screen(moment, width, height), end="")
    lines = out.getvalue().rstrip("\n").split("\n")
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "\x1b" not in text
    for word in ("interactive", "batch", "provider-0-with", "tenant-", "conflict", "dead letters", "more"):
        assert word in text
    assert problem is None or problem in lines[0]


def test_figures_of_before_are_marked_on_the_screen_and_absent_from_json() -> None:
    full = crowded()
    away = Moment("nats://here", NOW + timedelta(seconds=5), full.figures, "the server is away", NOW)
    out = StringIO()
    Console(file=out, width=120, height=40).print(screen(away, 120, 40))
    assert "the server is away; figures of 12:00:00" in out.getvalue()
    assert away.as_json() == {"at": "2026-11-21T12:00:05+00:00", "server": {"url": "nats://here", "ok": False, "problem": "the server is away"}}
    assert line(away) == "12:00:05  the server is away"


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "unknown"), ("0", "$0"), ("12.3456789", "$12.3457"), ("0.0012", "$0.001200"), ("0.00000000001", "<$0.000001")]
)
def test_money_is_never_rounded_to_nothing(value: str | None, shown: str) -> None:
    assert usd(value) == shown
