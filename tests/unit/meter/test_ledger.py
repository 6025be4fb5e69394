"""The ledger: one row a call whatever the bus redelivers, exact sums, null where a price is unknown."""

import asyncio
import json
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from contracts.attempt import AttemptFinishedV1
from services.meter.commits import GroupCommit
from services.meter.entries import row_of
from services.meter.ledger import Ledger, calls
from services.meter.report import CostQuestion, report

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def attempt(
    request_id: str = "job-1", n: int = 1, *, cost: str | None = None, estimate: str | None = None, tenant: str = "acme", at: datetime = NOW, **summary: Any
) -> AttemptFinishedV1:
    return AttemptFinishedV1.model_validate(
        {
            "origin": {
                "request_id": request_id,
                "tenant": tenant,
                "kind": "chat",
                "route": "default",
                "lane": "standard",
                "metadata": {"ticket": "T-1"},
                "request_seq": 1,
                "request_sha256": "0" * 64,
                "requested_at": at - timedelta(seconds=1),
                "deadline": at + timedelta(hours=1),
            },
            "slip": {"candidates": []},
            "summary": {"n": n, "provider": "p", "model": "m", "outcome": "answered", "cost_usd": cost} | summary,
            "cost_basis": "unknown" if cost is None else "usage",
            "estimated_cost_usd": estimate,
            "price_version": "config@1",
            "call_seq": 9,
            "occurred_at": at,
        }
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    made.create()
    yield made
    made.close()


def rows(ledger: Ledger) -> list[Any]:
    with ledger.engine.connect() as connection:
        return list(connection.execute(select(calls)).mappings())


def write(ledger: Ledger, one: AttemptFinishedV1, late: bool = False) -> bool:
    [stands] = ledger.record([row_of(one, late)])
    return stands


def asked(ledger: Ledger, **question: Any) -> dict[str, Any]:
    return report(ledger.engine, CostQuestion.model_validate(question))


def test_j2_a_redelivered_attempt_is_one_row(ledger: Ledger) -> None:
    one = attempt(cost="0.000081")
    assert [write(ledger, one) for _ in range(3)] == [True] * 3
    assert ledger.record([row_of(one, False)] * 3) == [True] * 3
    assert len(rows(ledger)) == 1
    assert asked(ledger)["total_usd"] == "0.000081"


def test_a_row_tells_all_of_a_call(ledger: Ledger) -> None:
    write(ledger, attempt(cost="0.00000024", usage={"input_tokens": 12, "output_tokens": 3, "cache_read_tokens": 0}))
    [row] = rows(ledger)
    told = {name: row[name] for name in ("call_id", "request_id", "n", "route", "lane", "provider", "model", "cost_usd", "basis", "day", "metadata")}
    assert told == {
        "call_id": "acme/job-1/1",
        "request_id": "job-1",
        "n": 1,
        "route": "default",
        "lane": "standard",
        "provider": "p",
        "model": "m",
        "cost_usd": "0.00000024",
        "basis": "usage",
        "day": "2026-11-21",
        "metadata": {"ticket": "T-1"},
    }
    assert (row["input_tokens"], row["output_tokens"], row["cache_read_tokens"], row["cache_write_tokens"]) == (12, 3, 0, None)


def test_a_late_answer_replaces_the_estimate_and_a_redelivered_estimate_does_not_come_back(ledger: Ledger) -> None:
    lost = attempt(estimate="0.5", outcome="outcome_unknown")
    assert write(ledger, lost)
    assert rows(ledger)[0]["basis"] == "estimate" and rows(ledger)[0]["estimated"]
    assert write(ledger, attempt(cost="0.25"), late=True)
    assert not write(ledger, lost)
    [row] = rows(ledger)
    assert (row["cost_usd"], row["outcome"], row["late"], row["estimated"]) == ("0.25", "answered", True, False)


def test_an_id_used_again_after_its_horizon_is_paid_again(ledger: Ledger) -> None:
    write(ledger, attempt(cost="1"))
    write(ledger, attempt(cost="2", at=NOW + timedelta(days=2)))
    assert asked(ledger)["total_usd"] == "3"


EVENTS = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(1, 2), st.booleans()), min_size=1, max_size=30)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(EVENTS, st.integers(1, 7))
def test_in_any_order_of_redelivery_there_is_one_row_a_call_and_the_late_answer_wins(events: list[tuple[str, int, bool]], size: int) -> None:
    with TemporaryDirectory() as folder:
        ledger = Ledger(f"sqlite:///{folder}/ledger.db")
        ledger.create()
        entries = [row_of(attempt(request_id, n, cost="2" if late else None, estimate=None if late else "1"), late) for request_id, n, late in events]
        for start in range(0, len(entries), size):
            ledger.record(entries[start : start + size])
        late = {(request_id, n) for request_id, n, is_late in events if is_late}
        seen = {(request_id, n) for request_id, n, _ in events}
        assert {(row["request_id"], row["n"]): row["cost_usd"] for row in rows(ledger)} == {key: "2" if key in late else "1" for key in seen}
        assert len(rows(ledger)) == len(seen)
        ledger.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.none() | st.decimals(0, 10**6, allow_nan=False, places=12), min_size=1, max_size=20))
def test_sums_are_exact_and_an_unknown_addend_makes_them_null(costs: list[Decimal | None]) -> None:
    with TemporaryDirectory() as folder:
        ledger = Ledger(f"sqlite:///{folder}/ledger.db")
        ledger.create()
        ledger.record([row_of(attempt(n=n, cost=None if cost is None else str(cost)), False) for n, cost in enumerate(costs)])
        answer = asked(ledger, by=["tenant"])
        known = sum((cost for cost in costs if cost is not None), Decimal(0))
        assert Decimal(answer["rows"][0]["cost_known_usd"]) == Decimal(answer["total_known_usd"]) == known
        assert (answer["total_usd"] is None) == (None in costs)
        assert answer["rows"][0]["calls_unpriced"] == costs.count(None)
        assert "E" not in answer["total_known_usd"]
        ledger.close()


def test_t2_an_unpriced_call_is_null_in_its_row_and_never_zero(ledger: Ledger) -> None:
    write(ledger, attempt("a", model="unpriced"))
    write(ledger, attempt("b", model="free", cost="0"))
    costs = {row["model"]: (row["cost_usd"], row["calls_unpriced"]) for row in asked(ledger, by=["model"])["rows"]}
    assert costs == {"unpriced": (None, 1), "free": ("0", 0)}


def test_an_unknown_count_makes_the_sum_of_tokens_null(ledger: Ledger) -> None:
    write(ledger, attempt("a", cost="1", usage={"input_tokens": 1, "output_tokens": 2}))
    write(ledger, attempt("b", cost="2", usage={"input_tokens": 3}))
    [row] = asked(ledger)["rows"]
    assert (row["input_tokens"], row["output_tokens"], row["cost_usd"]) == (4, None, "3")


def test_costs_are_reported_by_any_dimension_and_in_any_window(ledger: Ledger) -> None:
    for day, (tenant, cost) in enumerate([("acme", "1"), ("acme", "2"), ("other", "4")]):
        write(ledger, attempt(f"job-{day}", cost=cost, tenant=tenant, at=NOW + timedelta(days=day)))
    by_day = asked(ledger, by=["tenant", "day"])["rows"]
    assert [(row["tenant"], row["day"], row["cost_usd"]) for row in by_day] == [
        ("acme", "2026-11-21", "1"),
        ("acme", "2026-11-22", "2"),
        ("other", "2026-11-23", "4"),
    ]
    assert asked(ledger, tenant="acme")["total_usd"] == "3"
    assert asked(ledger, since="2026-11-22")["total_usd"] == "6"
    assert asked(ledger, until="2026-11-22T12:00:00Z")["total_usd"] == "1"
    assert asked(ledger, tenant="nobody") == {
        "rows": [],
        "total_usd": "0",
        "total_known_usd": "0",
        "total_calls": 0,
        "total_calls_unpriced": 0,
        "total_calls_estimated": 0,
    }


def test_sqlite_is_opened_for_two_writers(ledger: Ledger, tmp_path: Path) -> None:
    with ledger.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert int(connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()) >= 1000
    other = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    other.create()

    def fill(into: Ledger, name: str) -> None:
        for n in range(100):
            write(into, attempt(name, n, cost="1"))

    threads = [threading.Thread(target=fill, args=each) for each in ((ledger, "a"), (other, "b"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked(ledger)["total_usd"] == "200"
    other.close()


def test_an_unknown_database_is_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match="HEADRACE_METER_LEDGER_URL"):
        Ledger("mysql://localhost/ledger")


class CountingLedger(Ledger):
    """Counts transactions."""

    transactions = 0

    def record(self, rows: Any) -> list[bool]:
        self.transactions += 1
        return super().record(rows)


def test_many_handlers_share_few_transactions_and_a_bad_row_spoils_only_itself(tmp_path: Path) -> None:
    counted = CountingLedger(f"sqlite:///{tmp_path / 'ledger.db'}")
    counted.create()

    async def run() -> None:
        commits = GroupCommit(counted)
        good = [commits.add(row_of(attempt(f"job-{i}", cost="1"), False)) for i in range(200)]
        assert await asyncio.gather(*good) == [True] * 200
        assert counted.transactions < 5
        bad = attempt("bad", usage={"input_tokens": 2**70})
        outcomes = await asyncio.gather(
            *(commits.add(row_of(each, False)) for each in (attempt("good", cost="1"), bad, attempt("fine", cost="1"))), return_exceptions=True
        )
        assert [outcome if isinstance(outcome, bool) else "refused" for outcome in outcomes] == [True, "refused", True]
        await commits.close()

    asyncio.run(run())
    assert len(rows(counted)) == 202
    counted.close()


def test_the_ledger_is_plain_sql_that_others_can_read(ledger: Ledger, tmp_path: Path) -> None:
    write(ledger, attempt(cost="0.000081"))
    connection = sqlite3.connect(tmp_path / "ledger.db")
    assert connection.execute("SELECT call_id, cost_usd FROM calls").fetchall() == [("acme/job-1/1", "0.000081")]
    assert json.loads(connection.execute("SELECT metadata FROM calls").fetchone()[0]) == {"ticket": "T-1"}
    connection.close()
