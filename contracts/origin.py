"""What travels with a request through every hop: where it came from, and its routing slip."""

from datetime import datetime
from typing import Literal

from .base import Open, Usd
from .content import ChatMessageV1
from .outcome import AttemptSummaryV1, WarningV1
from .request import Lane, OutputV1


class OriginV1(Open):
    """The request's facts without its prompt: enough to publish its result from any hop."""

    request_id: str
    tenant: str
    kind: str
    route: str | None
    lane: Lane
    metadata: dict[str, str]
    request_seq: int
    request_sha256: str
    requested_at: datetime
    deadline: datetime
    replay_of: str | None = None
    trace_id: str | None = None
    max_cost_usd: Usd | None = None
    output: OutputV1 | None = None
    stream: bool = False
    encoding: Literal["float", "base64"] = "float"


class CandidateV1(Open):
    """One provider and model that may answer."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


class RejectedV1(Open):
    """A candidate that was not asked, and why."""

    model: str
    why: str


class SlipV1(Open):
    """The state of a linear request: what may still be tried, what was, and how many repair turns were taken."""

    candidates: tuple[CandidateV1, ...]
    """Left to try; the first is the one being asked."""
    attempts: tuple[AttemptSummaryV1, ...] = ()
    """All that ended before this call."""
    warnings: tuple[WarningV1, ...] = ()
    rejected: tuple[RejectedV1, ...] = ()
    repairs: int = 0
    correction: tuple[ChatMessageV1, ...] = ()
    """The last answer and what was wrong with it: told to the model after the conversation."""
    pinned_by_stream: bool = False
    """A content delta went out: only the same provider may be asked again."""
    queue_s: float | None = None
