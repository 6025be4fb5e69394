"""The one terminal event of a request."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from pydantic import Field

from .base import Open, Usd
from .content import ChatMessageV1
from .origin import RejectedV1
from .outcome import AttemptSummaryV1, FinishReason, UsageV1, WarningV1

Status = Literal["succeeded", "failed", "refused", "expired", "cancelled"]


class ErrorV1(Open):
    """Why there is no acceptable answer; `field` names what to mend in the request."""

    type: str
    message: str
    field: str | None = None
    provider: str | None = None
    retryable: bool = False
    rejected: tuple[RejectedV1, ...] = ()


class ResultV1(Open):
    """How a request ended, once and for all. Every field is always present, null where it does not apply."""

    request_id: str
    tenant: str
    kind: str | None
    status: Status
    route: str | None = None
    lane: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
    message: ChatMessageV1 | None = None
    finish_reason: FinishReason | None = None
    parsed: Any = None
    embeddings: list[list[float]] | list[str] | None = None
    provider: str | None = None
    model: str | None = None
    response_model: str | None = None
    response_id: str | None = None
    usage: UsageV1 = UsageV1()
    cost_usd: Usd | None = None
    cost_known_usd: Usd = Decimal(0)
    cache: dict[str, Any] | None = None
    queue_s: float | None = None
    first_token_s: float | None = None
    duration_s: float | None = None
    attempts: tuple[AttemptSummaryV1, ...] = ()
    warnings: tuple[WarningV1, ...] = ()
    error: ErrorV1 | None = None
    request_seq: int | None = None
    request_sha256: str | None = None
    replay_of: str | None = None
    trace_id: str | None = None
    requested_at: datetime | None = None
    finished_at: datetime
