"""The ledger again from what the streams still hold: a merge, so that nothing older is lost and it can be run at any time, twice, and beside meters."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from bus.connection import Bus
from bus.reading import extent, pages
from bus.stored import Stored
from contracts.cost import CostRecordedV1
from services.meter.entries import Metered, row_of, row_of_cost
from services.meter.ledger import Ledger
from storage.texts import utc_text

COSTS_PAGE = 1000
ATTEMPTS_PAGE = 128
"""They carry answers and vectors."""
LONGEST_USE = timedelta(hours=25)
"""A request lives a day at most; what comes later under its id is another use of it."""
UNREADABLE_SHOWN = 20

Decode = Callable[[Stored], dict[str, Any]]


@dataclass
class Rebuilt:
    """What was read. `unreadable` names some of the messages that no version of ours can have written."""

    attempts: int = 0
    costs: int = 0
    unreadable_count: int = 0
    unreadable: list[str] = field(default_factory=list)


async def measure(bus: Bus) -> int:
    """How many messages a rebuild would read, those deleted in between included."""
    spans = [await extent(bus, stream) for stream in ("ATTEMPTS", "COSTS")]
    return sum(last - first + 1 for first, last in spans)


async def rebuild(bus: Bus, ledger: Ledger, advance: Callable[[int], None]) -> Rebuilt:
    """Merge ATTEMPTS, then COSTS, into the ledger. `advance` is told how many sequences were passed. Raises Unavailable, SQLAlchemyError.

    Attempts come first: their costs may not have been told yet, and cost events of older versions say less than a row that stands there.
    """
    done = Rebuilt()
    await asyncio.to_thread(ledger.create)
    for stream, size, decode in (("ATTEMPTS", ATTEMPTS_PAGE, _attempt_row), ("COSTS", COSTS_PAGE, _cost_row)):
        first, last = await extent(bus, stream)
        passed = first - 1
        async for page in pages(bus, stream, first, last, size):
            rows = await asyncio.to_thread(_merge, ledger, page, decode, done)
            done.attempts += rows if stream == "ATTEMPTS" else 0
            done.costs += rows if stream == "COSTS" else 0
            advance(page[-1].seq - passed)
            passed = page[-1].seq
        advance(last - passed)
    return done


def _merge(ledger: Ledger, page: Sequence[Stored], decode: Decode, done: Rebuilt) -> int:
    rows = []
    for stored in page:
        try:
            rows.append(decode(stored))
        except ValidationError as error:
            done.unreadable_count += 1
            if len(done.unreadable) < UNREADABLE_SHOWN:
                done.unreadable.append(f"{stored.subject!r}, sequence {stored.seq}: {error.error_count()} fields do not fit")
    _place(ledger, [row for row in rows if row["requested_at"] is None])
    ledger.merge(rows)
    return len(rows)


def _attempt_row(stored: Stored) -> dict[str, Any]:
    return row_of(Metered.model_validate_json(stored.body), late=".attempt.late." in stored.subject)


def _cost_row(stored: Stored) -> dict[str, Any]:
    """Events of older versions do not say when they were requested, and tell by their message id alone that they are late."""
    event = CostRecordedV1.model_validate_json(stored.body)
    row = row_of_cost(event)
    if event.requested_at is None:
        row |= {"requested_at": None, "late": stored.headers.get("Nats-Msg-Id", "").endswith(":late")}
    return row


def _place(ledger: Ledger, rows: Sequence[dict[str, Any]]) -> None:
    """Find the row that an event of an older version belongs to; where there is none, the time of the event stands in for the request's."""
    if not rows:
        return
    uses = ledger.uses([row["call_id"] for row in rows])
    for row in rows:
        known = uses.setdefault(row["call_id"], [])
        row["requested_at"] = next((use for use in reversed(known) if use <= row["occurred_at"] <= _end_of(use)), None)
        if row["requested_at"] is None:
            row["requested_at"] = row["occurred_at"]
            known.append(row["occurred_at"])


def _end_of(use: str) -> str:
    return utc_text(datetime.fromisoformat(use) + LONGEST_USE)
