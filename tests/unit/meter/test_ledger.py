"""The ledger: one row a call whatever the bus redelivers, exact sums, null where a price is unknown."""

import asyncio
import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select
from sqlalchemy.exc import OperationalError

from contracts.attempt import AttemptFinishedV1
from services.meter.entries import cost_of_row, row_of, row_of_cost
from services.meter.ledger import Ledger, calls, key_of
from services.meter.report import CostQuestion, report
from storage.commits import GroupCommit
from storage.migrations import opened
from storage.texts import utc_text
from tests.support.processes import ROOT

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


def test_what_an_older_event_does_not_tell_of_a_call_stays_as_it_is_known(ledger: Ledger) -> None:
    one = attempt(cost="1", duration_s=0.8)
    write(ledger, one)
    ledger.record([{**row_of(one, True), "route": None, "duration_s": None}])
    [row] = rows(ledger)
    assert (row["late"], row["route"], row["duration_s"]) == (True, "default", 0.8)


def test_an_id_used_again_after_its_horizon_is_paid_again(ledger: Ledger) -> None:
    write(ledger, attempt(cost="1"))
    write(ledger, attempt(cost="2", at=NOW + timedelta(days=2)))
    assert asked(ledger)["total_usd"] == "3"


many = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


def emptied(ledger: Ledger) -> Ledger:
    """Made-up cases share the database of their test."""
    with ledger.engine.begin() as connection:
        connection.execute(delete(calls))
    return ledger


VERSIONS = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(1, 2), st.booleans(), st.integers(0, 2)), min_size=1, max_size=30)


def version(request_id: str, n: int, late: bool, correction: int) -> dict[str, Any]:
    """A call as it was first told, or as it was corrected at one of two moments; its cost names the version."""
    row = row_of(attempt(request_id, n, cost=f"{int(late)}.{correction}"), late)
    return {**row, "repriced_at": utc_text(NOW + timedelta(days=correction)) if correction else None}


@many
@given(VERSIONS, st.integers(1, 7))
def test_in_any_order_there_is_one_row_a_call_the_late_answer_wins_and_then_the_last_correction(
    ledger: Ledger, versions: list[tuple[str, int, bool, int]], size: int
) -> None:
    emptied(ledger)
    entries = [version(*each) for each in versions]
    for start in range(0, len(entries), size):
        chunk = entries[start : start + size]
        stand = ledger.record(chunk)
        standing = {(row["request_id"], row["n"]): row["cost_usd"] for row in rows(ledger)}
        assert stand == [standing[row["request_id"], row["n"]] == row["cost_usd"] for row in chunk]
    last: dict[tuple[str, int], tuple[bool, int]] = {}
    for request_id, n, late, correction in versions:
        last[request_id, n] = max(last.get((request_id, n), (False, 0)), (late, correction))
    assert {(row["request_id"], row["n"]): row["cost_usd"] for row in rows(ledger)} == {key: f"{int(late)}.{at}" for key, (late, at) in last.items()}
    assert len(rows(ledger)) == len(last)


@many
@given(st.lists(st.none() | st.decimals(0, 10**6, allow_nan=False, places=12), min_size=1, max_size=20))
def test_sums_are_exact_and_an_unknown_addend_makes_them_null(ledger: Ledger, costs: list[Decimal | None]) -> None:
    emptied(ledger).record([row_of(attempt(n=n, cost=None if cost is None else str(cost)), False) for n, cost in enumerate(costs)])
    answer = asked(ledger, by=["tenant"])
    known = sum((cost for cost in costs if cost is not None), Decimal(0))
    assert Decimal(answer["rows"][0]["cost_known_usd"]) == Decimal(answer["total_known_usd"]) == known
    assert (answer["total_usd"] is None) == (None in costs)
    assert answer["rows"][0]["calls_unpriced"] == costs.count(None)
    assert "E" not in answer["total_known_usd"]


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


def test_sqlite_is_opened_for_two_writers(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    with ledger.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert int(connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()) >= 1000
    ledger.close()


def test_two_meters_make_one_ledger_and_write_into_it(ledger_url: str) -> None:
    ledger, other = Ledger(ledger_url), Ledger(ledger_url)
    makers = [threading.Thread(target=asyncio.run, args=(opened(each.create),)) for each in (ledger, other)]
    for thread in makers:
        thread.start()
    for thread in makers:
        thread.join()

    def fill(into: Ledger, name: str) -> None:
        for n in range(100):
            write(into, attempt(name, n, cost="1"))

    threads = [threading.Thread(target=fill, args=each) for each in ((ledger, "a"), (other, "b"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked(ledger)["total_usd"] == "200"
    ledger.close()
    other.close()


def test_writers_of_the_same_calls_in_any_order_do_not_block_each_other(ledger: Ledger) -> None:
    entries = [row_of(attempt(f"job-{number}", cost="1"), False) for number in range(500)]
    faults: list[Exception] = []

    def fill(entries: list[dict[str, Any]]) -> None:
        try:
            for _ in range(5):
                ledger.merge(entries)
        except OperationalError as fault:
            faults.append(fault)

    threads = [threading.Thread(target=fill, args=(each,)) for each in (entries, entries[::-1]) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (faults, asked(ledger)["total_usd"]) == ([], "500")


def test_an_unknown_database_is_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match="HEADRACE_METER_LEDGER_URL"):
        Ledger("mysql://localhost/ledger")


def test_a_url_that_cannot_be_read_is_refused_without_showing_its_password() -> None:
    with pytest.raises(ValueError, match="HEADRACE_METER_LEDGER_URL") as caught:
        Ledger("postgresql//user:hunter2@host/ledger")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg2"])
def test_postgresql_is_spoken_to_by_psycopg_3(scheme: str) -> None:
    ledger = Ledger(f"{scheme}://user@localhost/ledger")
    assert (ledger.engine.dialect.name, ledger.engine.dialect.driver) == ("postgresql", "psycopg")


def test_without_its_driver_postgresql_is_refused_with_the_extra_to_install() -> None:
    blocked = "import sys; sys.modules['psycopg'] = None; from services.meter.ledger import Ledger; Ledger('postgresql://localhost/ledger')"
    done = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert "pip install 'headrace[postgres]'" in done.stderr.splitlines()[-1]


def test_an_event_made_of_a_row_makes_the_same_row(ledger: Ledger) -> None:
    made = {**row_of(attempt(cost="0.25", usage={"input_tokens": 1}), late=True), "repriced_at": utc_text(NOW)}
    ledger.record([made])
    [row] = ledger.find([key_of(made)]).values()
    assert row_of_cost(cost_of_row(row)) == dict(row) == made


def test_bytes_that_postgresql_cannot_keep_do_not_spoil_a_report(ledger: Ledger) -> None:
    one = attempt(cost="1").model_dump(mode="json")
    one["origin"]["metadata"], one["response_model"] = {"ticket": "a\0b"}, "m\0"
    write(ledger, AttemptFinishedV1.model_validate(one))
    assert [row["metadata.ticket"] for row in asked(ledger, by=["metadata.ticket"])["rows"]] == ["a\ufffdb"]


class CountingLedger(Ledger):
    """Counts transactions."""

    transactions = 0

    def record(self, rows: Any, doubted: Any = None) -> list[bool]:
        self.transactions += 1
        return super().record(rows, doubted)


def writing(ledger: Ledger) -> Any:
    """The write that a group commit does on a ledger."""

    async def write(batch: Sequence[Any]) -> list[bool]:
        return await asyncio.to_thread(ledger.record, list(batch))

    return write


def test_many_handlers_share_few_transactions_and_a_bad_row_spoils_only_itself(ledger_url: str) -> None:
    counted = CountingLedger(ledger_url)
    counted.create()

    async def run() -> None:
        commits = GroupCommit(writing(counted))
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


def test_a_database_that_is_away_is_asked_once_for_a_batch(tmp_path: Path) -> None:
    away = CountingLedger(f"sqlite:///{tmp_path / 'no-such-folder' / 'ledger.db'}")

    async def run() -> None:
        commits = GroupCommit(writing(away))
        waiting = [commits.add(row_of(attempt(f"job-{i}", cost="1"), False)) for i in range(50)]
        assert {type(outcome) for outcome in await asyncio.gather(*waiting, return_exceptions=True)} == {OperationalError}

    asyncio.run(run())
    assert away.transactions == 1


def test_the_ledger_is_plain_sql_that_others_can_read(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    ledger.create()
    write(ledger, attempt(cost="0.000081"))
    connection = sqlite3.connect(tmp_path / "ledger.db")
    assert connection.execute("SELECT call_id, cost_usd FROM calls").fetchall() == [("acme/job-1/1", "0.000081")]
    assert json.loads(connection.execute("SELECT metadata FROM calls").fetchone()[0]) == {"ticket": "T-1"}
    connection.close()
    ledger.close()
