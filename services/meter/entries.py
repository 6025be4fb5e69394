"""An attempt as the ledger sees it: one call, what it used, what it cost and how we know."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from contracts.attempt import AttemptFinishedV1
from contracts.cost import CostRecordedV1
from contracts.outcome import CostBasis

Row = Mapping[str, Any]


def cost_of(attempt: AttemptFinishedV1) -> tuple[Decimal | None, CostBasis]:
    """What the call cost; where nobody can know, what it may have cost, marked as an estimate."""
    known = attempt.summary.cost_usd
    if known is not None:
        return known, attempt.cost_basis
    if attempt.estimated_cost_usd is not None:
        return attempt.estimated_cost_usd, "estimate"
    return None, "unknown"


def recorded(attempt: AttemptFinishedV1) -> CostRecordedV1:
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
    )


def row_of(attempt: AttemptFinishedV1, late: bool) -> Row:
    """The ledger's row for a call. Times are UTC text of one width, so that they sort and compare in any database."""
    event = recorded(attempt)
    return {
        **event.model_dump(exclude={"usage", "cost_usd", "occurred_at"}),
        **event.usage.model_dump(),
        "requested_at": utc_text(attempt.origin.requested_at),
        "n": attempt.summary.n,
        "route": attempt.origin.route,
        "cost_usd": None if event.cost_usd is None else f"{event.cost_usd:f}",
        "estimated": event.basis == "estimate",
        "streamed": attempt.streamed,
        "late": late,
        "occurred_at": utc_text(event.occurred_at),
        "day": utc_text(event.occurred_at)[:10],
    }


def utc_text(moment: datetime) -> str:
    """`2026-11-21T12:00:00.000000Z`."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
