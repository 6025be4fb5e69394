"""The router's command to ask one provider once, and the journal entry that claims it."""

from datetime import datetime
from typing import Literal

from .base import Open, Usd
from .origin import OriginV1, SlipV1
from .request import ChatRequestV1, EmbedRequestV1


class CallV1(Open):
    """Ask one provider and model, once. Number `n` of its request; one call, one `n`, at most one dial."""

    n: int
    provider: str
    model: str
    origin: OriginV1
    slip: SlipV1
    chat: ChatRequestV1 | None = None
    embed: EmbedRequestV1 | None = None
    estimated_cost_usd: Usd | None = None
    tries: int = 0
    """How often it was put off before it was begun."""

    @property
    def call_id(self) -> str:
        return f"{self.origin.tenant}/{self.origin.request_id}/{self.n}"


class CallBegunV1(Open):
    """A claim on a call, written before dialling, expecting to be the first. `delivery` is the claimer's delivery number."""

    call_seq: int
    delivery: int
    writer: Literal["adapter", "router"]
    begun_at: datetime
