"""An attempt as the ledger sees it: one call, what it used, what it cost and how we know."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from contracts.attempt import AttemptFinishedV1
from contracts.base import Open
from contracts.cost import CostRecordedV1
from contracts.origin import OriginV1
from contracts.outcome import AttemptSummaryV1, CostBasis, UsageV1
from storage.texts import NO_NUL, utc_text

Row = Mapping[str, Any]
COPIED = (
    "call_id",
    "request_id",
    "tenant",
    "kind",
    "route",
    "lane",
    "provider",
    "model",
    "outcome",
    "basis",
    "price_version",
    "streamed",
    "late",
    "duration_s",
)
"""What stands in a row as it stands in the event."""
USAGE = tuple(UsageV1.model_fields)


class Metered(Open):
    """What the meter reads of an attempt; the answer itself stays unread. Fields as in AttemptFinishedV1."""

    origin: OriginV1
    summary: AttemptSummaryV1
    response_model: str | None = None
    cost_basis: CostBasis = "unknown"
    estimated_cost_usd: Decimal | None = None
    price_version: str | None = None
    streamed: bool = False
    occurred_at: datetime

    @property
    def call_id(self) -> str:
        return f"{self.origin.tenant}/{self.origin.request_id}/{self.summary.n}"


def cost_of(attempt: Metered | AttemptFinishedV1) -> tuple[Decimal | None, CostBasis]:
    """What the call cost; where nobody can know, what it may have cost, marked as an estimate."""
    known = attempt.summary.cost_usd
    if known is not None:
        return known, attempt.cost_basis
    if attempt.estimated_cost_usd is not None:
        return attempt.estimated_cost_usd, "estimate"
    return None, "unknown"


def recorded(attempt: Metered | AttemptFinishedV1, late: bool) -> CostRecordedV1:
    """The event that tells the cost of a call."""
    origin, summary = attempt.origin, attempt.summary
    cost, basis = cost_of(attempt)
    return CostRecordedV1(
        call_id=attempt.call_id,
        request_id=origin.request_id,
        tenant=origin.tenant,
        kind=origin.kind,
        lane=origin.lane,
        provider=summary.provider,
        model=summary.model,
        response_model=attempt.response_model,
        outcome=summary.outcome,
        usage=summary.usage,
        cost_usd=cost,
        basis=basis,
        price_version=attempt.price_version,
        metadata=origin.metadata,
        occurred_at=attempt.occurred_at,
        requested_at=origin.requested_at,
        route=origin.route,
        streamed=attempt.streamed,
        late=late,
        duration_s=summary.duration_s,
    )


def row_of(attempt: Metered | AttemptFinishedV1, late: bool) -> dict[str, Any]:
    """The ledger's row for a call."""
    return row_of_cost(recorded(attempt, late))


def row_of_cost(event: CostRecordedV1) -> dict[str, Any]:
    """The same from its cost event. Times are UTC text of one width, so that they sort and compare in any database."""
    occurred_at = utc_text(event.occurred_at)
    number = event.call_id.rpartition("/")[2]
    return {
        **{name: getattr(event, name) for name in COPIED},
        **{name: getattr(event.usage, name) for name in USAGE},
        "requested_at": occurred_at if event.requested_at is None else utc_text(event.requested_at),
        "n": int(number) if number.isdecimal() else 0,
        "response_model": event.response_model and event.response_model.translate(NO_NUL),
        "metadata": {key.translate(NO_NUL): value.translate(NO_NUL) for key, value in event.metadata.items()},
        "cost_usd": None if event.cost_usd is None else f"{event.cost_usd:f}",
        "estimated": event.basis == "estimate",
        "repriced_at": None if event.repriced_at is None else utc_text(event.repriced_at),
        "occurred_at": occurred_at,
        "day": occurred_at[:10],
    }


def cost_of_row(row: Row) -> CostRecordedV1:
    """The event that tells what stands in the ledger."""
    return CostRecordedV1.model_validate({**row, "usage": {name: row[name] for name in USAGE}})
