"""How one call ended: answered or failed, with usage, price, timings and provider ids."""

from datetime import datetime

from .base import Open, Usd
from .content import ChatMessageV1
from .origin import OriginV1, SlipV1
from .outcome import AttemptSummaryV1, CostBasis, WarningV1


class AttemptFinishedV1(Open):
    """A call ended, well or badly. Written by an adapter (or the router's sweep); read by meter, router and validator."""

    origin: OriginV1
    slip: SlipV1
    summary: AttemptSummaryV1
    message: ChatMessageV1 | None = None
    embeddings: list[list[float]] | list[str] | None = None
    response_model: str | None = None
    response_id: str | None = None
    cost_basis: CostBasis = "unknown"
    estimated_cost_usd: Usd | None = None
    """What the call may have cost where `summary.cost_usd` is unknown."""
    price_version: str | None = None
    retry_after_s: float | None = None
    streamed: bool = False
    """A content delta went out: no other provider may take over."""
    queue_s: float | None = None
    first_token_s: float | None = None
    warnings: tuple[WarningV1, ...] = ()
    call_seq: int
    occurred_at: datetime

    @property
    def call_id(self) -> str:
        """`<tenant>/<request id>/<n>`: unique for ever within a tenant's idempotency horizon."""
        return f"{self.origin.tenant}/{self.origin.request_id}/{self.summary.n}"
