"""The books: what was asked, answered, claimed, lost and metered must add up."""

import sqlite3
from collections import Counter
from typing import Any

from tests.support.client import Outsider
from tests.support.processes import eventually
from tests.support.stack import Stack


async def account(stack: Stack, outsider: Outsider, requests: int, in_flight: set[str], kills: dict[str, int]) -> dict[str, Any]:
    """Every number of one part, when all has come to rest."""
    heard = {key: results for key, results in outsider.heard.items() if key.startswith("chaos/")}
    unknown = await unknown_calls(outsider)
    calls = stack.calls()
    return {
        "requests": requests,
        "results": len(heard),
        "duplicate_results": sum(len(results) - 1 for results in heard.values()),
        "not_succeeded": sum(results[0]["status"] != "succeeded" for results in heard.values()),
        "results_last_sequence": await outsider.last_sequence("RESULTS"),
        "provider_calls": len(calls),
        "calls_dialled_twice": sum(times > 1 for times in Counter(call.call_id for call in calls).values()),
        "unknown_attempts": len(unknown),
        "in_flight_at_kills": len(in_flight),
        "unknown_not_in_flight": len(unknown - in_flight),
        "kills": sum(kills.values()),
        "killed": kills,
        "ledger_mismatches": len(await mismatches(stack, unknown)),
        "dead_letters": await outsider.messages("DEAD_LETTERS"),
    }


def misses(part: dict[str, Any]) -> list[str]:
    """What does not add up, in words."""
    extra = part["provider_calls"] - part["requests"]
    rules = {
        "a result for each request": part["results"] == part["requests"],
        "no result twice": part["duplicate_results"] == 0,
        "the last sequence of RESULTS is the number of requests": part["results_last_sequence"] == part["requests"],
        "every request succeeded": part["not_succeeded"] == 0,
        "extra provider calls ≤ outcome_unknown attempts": extra <= part["unknown_attempts"],
        "outcome_unknown attempts ≤ calls in flight at the kills": part["unknown_attempts"] <= part["in_flight_at_kills"],
        "every outcome_unknown call was in flight at a kill": part["unknown_not_in_flight"] == 0,
        "no call is dialled twice": part["calls_dialled_twice"] == 0,
        "the ledger is the provider's log": part["ledger_mismatches"] == 0,
        "no dead letters": part["dead_letters"] == 0,
    }
    return [rule for rule, holds in rules.items() if not holds]


async def unknown_calls(outsider: Outsider) -> set[str]:
    """Ids of the calls whose outcome was declared unknown."""
    attempts = await outsider.all_stored("ATTEMPTS", "llm.v1.attempt.failed.>")
    return {"/".join(subject.split(".")[-3:]) for _, subject, attempt in attempts if attempt["summary"]["outcome"] == "outcome_unknown"}


async def mismatches(stack: Stack, unknown: set[str]) -> list[str]:
    """Calls, but for the unknown ones, whose tokens differ between the ledger and the provider's own log."""
    asked = Counter((call.call_id, call.input_tokens, call.output_tokens) for call in stack.calls() if call.call_id not in unknown)

    def differing() -> list[str]:
        booked = Counter(row for row in ledger_rows(stack) if row[0] not in unknown)
        return sorted({str(row[0]) for row in (asked - booked) + (booked - asked)})

    await _settled(differing)
    return differing()


async def _settled(differing: Any) -> None:
    """The meter may be a moment behind."""
    try:
        await eventually(lambda: not differing(), 15, 0.5)
    except AssertionError:
        return


def ledger_rows(stack: Stack) -> list[tuple[str, int, int]]:
    """Call id, input and output tokens of every row."""
    connection = sqlite3.connect(f"file:{stack.ledger}?mode=ro", uri=True)
    try:
        return connection.execute("SELECT call_id, input_tokens, output_tokens FROM calls").fetchall()
    finally:
        connection.close()
