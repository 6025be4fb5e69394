"""What one call cost: written by the meter for dashboards and ledger rebuilds."""

from datetime import datetime

from .base import Open, Usd
from .outcome import CostBasis, UsageV1


class CostRecordedV1(Open):
    """Readers keep the last of a `call_id`: a late answer replaces an estimate."""

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
