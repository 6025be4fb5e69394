"""Terminal results: built once in one way, published so that the first wins."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bus.connection import Bus
from bus.errors import Exists
from contracts.origin import OriginV1
from contracts.outcome import AttemptSummaryV1, UsageV1
from contracts.result import ResultV1, Status
from observability import metrics
from observability.labels import kind_label, lane_label
from observability.tracing import annotate


def total(values: Iterable[int | None]) -> int | None:
    """A sum; any unknown addend makes it unknown."""
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)


def usage_of(attempts: Sequence[AttemptSummaryV1]) -> UsageV1:
    """The usage of all attempts; none used nothing. A count that some provider does not report is unknown in the sum."""
    if len(attempts) == 1:
        return attempts[0].usage
    return UsageV1(**{field: total(getattr(attempt.usage, field) for attempt in attempts) for field in UsageV1.model_fields})


def cost_of(attempts: Sequence[AttemptSummaryV1]) -> tuple[Decimal | None, Decimal]:
    """Cost and known cost of all attempts, USD. No attempt costs nothing."""
    costs = [attempt.cost_usd for attempt in attempts]
    known = sum((cost for cost in costs if cost is not None), Decimal(0))
    return (None if None in costs else known), known


def result(origin: OriginV1, attempts: Sequence[AttemptSummaryV1], status: Status, now: datetime, **fields: Any) -> ResultV1:
    """The result of a request whose origin is known."""
    cost, known = cost_of(attempts)
    last = attempts[-1] if attempts else None
    defaults: dict[str, Any] = {"provider": last.provider if last else None, "model": last.model if last else None}
    return ResultV1(
        request_id=origin.request_id,
        tenant=origin.tenant,
        kind=origin.kind,
        status=status,
        route=origin.route,
        lane=origin.lane,
        metadata=origin.metadata,
        usage=usage_of(attempts),
        cost_usd=cost,
        cost_known_usd=known,
        attempts=tuple(attempts),
        duration_s=round((now - origin.requested_at).total_seconds(), 6),
        request_seq=origin.request_seq,
        request_sha256=origin.request_sha256,
        replay_of=origin.replay_of,
        trace_id=origin.trace_id,
        requested_at=origin.requested_at,
        finished_at=now,
        **(defaults | fields),
    )


def event_headers(outcome: ResultV1) -> dict[str, str]:
    """Binary CloudEvents headers of a result."""
    return {
        "ce-specversion": "1.0",
        "ce-type": "headrace.result.v1",
        "ce-source": f"headrace/{outcome.tenant}",
        "ce-id": f"{outcome.tenant}.{outcome.request_id}",
        "ce-subject": outcome.request_id,
        "ce-time": outcome.finished_at.isoformat(),
        "ce-datacontenttype": "application/json",
        "Content-Type": "application/json",
    }


async def publish_result(bus: Bus, outcome: ResultV1) -> bool:
    """Publish a terminal result. False: another one was first, and this one is dropped."""
    subjects = bus.subjects
    try:
        await bus.publish(
            subjects.settle(outcome.tenant, outcome.request_id),
            outcome.model_dump_json().encode(),
            event_headers(outcome),
            none_on=subjects.result(outcome.tenant, outcome.request_id),
        )
    except Exists:
        annotate({"headrace.result.first": False})
        return False
    annotate({"headrace.result.status": outcome.status})
    annotate({"headrace.result.status": outcome.status})
    if metrics.recorded() and outcome.requested_at is not None:
        waited_s = (datetime.now(UTC) - outcome.requested_at).total_seconds()
        metrics.REQUEST_DURATION.record(max(0.0, waited_s), kind_label(outcome.kind), lane_label(outcome.lane), outcome.status)
    return True
