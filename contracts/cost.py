"""What one call cost: written by the meter for dashboards and ledger rebuilds."""

from datetime import datetime

from .base import Open, Usd
from .outcome import CostBasis, UsageV1


class CostRecordedV1(Open):
    """Readers keep the last of a `call_id`: a late answer replaces an estimate, a correction the price that was wrong."""

    call_id: str
    request_id: str
    tenant: str
    kind: str
    lane: str
    provider: str
    model: str
    response_model: str | None
    outcome: str
    usage: UsageV1
    cost_usd: Usd | None
    basis: CostBasis
    price_version: str | None
    metadata: dict[str, str]
    occurred_at: datetime
    requested_at: datetime | None = None
    """Tells two calls apart whose request id was used again after the idempotency horizon."""
    route: str | None = None
    streamed: bool = False
    late: bool = False
    """The answer of a call that had been declared lost."""
    repriced_at: datetime | None = None
    """When a re-pricing run corrected `cost_usd`; null as long as nobody did."""
    duration_s: float | None = None
    """From dialling the provider to its answer or failure; null where it was not dialled, and in events of older versions."""
