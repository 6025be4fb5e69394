"""A re-pricing run over the ledger: compare first, then tell and write the corrections."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, tuple_

from bus.connection import Bus
from catalog.models import Catalog
from services.meter.entries import Row, cost_of_row
from services.meter.ledger import Ledger, calls
from services.meter.repricing import Comparison, Repriced, Sums, decide
from storage.texts import utc_text

MOMENT = timedelta(microseconds=1)
Filters = list[ColumnElement[bool]]


def compare(ledger: Ledger, catalog: Catalog, filters: Filters, advance: Callable[[int], None]) -> Comparison:
    """Old and new costs by provider and model, in order. Writes nothing."""
    found: dict[tuple[str, str], Sums] = {}
    for page in ledger.pages(*filters):
        for row in page:
            found.setdefault((row["provider"], row["model"]), Sums()).add(row, decide(row, catalog))
        advance(len(page))
    return dict(sorted(found.items()))


def changing(compared: Comparison) -> Filters:
    """The models of which a call changes: the others need not be read again."""
    return [tuple_(calls.c.provider, calls.c.model).in_([names for names, sums in compared.items() if sums.changed])]


async def write(bus: Bus, ledger: Ledger, catalog: Catalog, filters: Filters, now: datetime, advance: Callable[[int], None]) -> int:
    """Correct every row whose price gives another cost; returns how many. Raises Unavailable, SQLAlchemyError; run again, it goes on.

    The event comes before the row: a run that is killed in between leaves a row that differs, so that the next run tells it again.
    """
    changed = 0
    remaining = ledger.pages(*filters)
    while page := await asyncio.to_thread(next, remaining, None):
        corrected = [corrected_row(row, decision, now) for row in page if isinstance(decision := decide(row, catalog), Repriced)]
        await asyncio.gather(*(_tell(bus, row) for row in corrected))
        await asyncio.to_thread(ledger.merge, corrected)
        changed += len(corrected)
        advance(len(page))
    return changed


def corrected_row(row: Row, decision: Repriced, now: datetime) -> dict[str, Any]:
    """The row at its new price, later than any correction before it, whatever the clock says."""
    before = None if row["repriced_at"] is None else datetime.fromisoformat(row["repriced_at"]) + MOMENT
    at = now if before is None else max(now, before)
    return {
        **row,
        "cost_usd": f"{decision.cost_usd:f}",
        "price_version": decision.price_version,
        "basis": "usage",
        "repriced_at": utc_text(at),
    }


async def _tell(bus: Bus, row: Row) -> None:
    """Readers keep the last of a call id. The message id is of this correction alone: the first event's would make it a duplicate."""
    event = cost_of_row(row)
    msg_id = f"cost:{event.call_id}:{row['requested_at']}:repriced:{row['repriced_at']}"
    await bus.publish(bus.subjects.cost(event.tenant), event.model_dump_json().encode(), msg_id=msg_id)
