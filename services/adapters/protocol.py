"""What every wire protocol gives back: an answer or a failure, the pieces of a streamed answer, and the HTTP exchange that leads to them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Protocol

from contracts.content import ChatMessageV1
from contracts.delta import ToolCallDeltaV1
from contracts.outcome import FailureType, FinishReason, UsageV1, WarningV1
from contracts.request import ChatRequestV1, EmbedRequestV1

Embeddings = list[list[float]] | list[str]
Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider answered. `cost_usd` only where the provider itself names the price of the call."""

    message: ChatMessageV1 | None = None
    embeddings: Embeddings | None = None
    finish_reason: FinishReason | None = None
    usage: UsageV1 = field(default_factory=UsageV1)
    response_model: str | None = None
    response_id: str | None = None
    warnings: tuple[WarningV1, ...] = ()
    cost_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that gave no answer: an expected outcome, not an exception."""

    type: FailureType
    message: str
    provider_code: str | None = None
    retry_after_s: float | None = None
    usage_known_zero: bool = False
    """Nothing can have been billed: refused with an error status, or never connected."""
    usage: UsageV1 | None = None
    """What was billed all the same, where the provider said so."""
    partial: ChatMessageV1 | None = None
    """What had arrived of a streamed answer."""


@dataclass(frozen=True, slots=True)
class DeltaPiece:
    """One piece of a streamed answer; `part` is the index of its part in the final message."""

    type: Literal["text", "reasoning", "tool_call"]
    part: int
    content: str | None = None
    tool_call: ToolCallDeltaV1 | None = None


OnDelta = Callable[[DeltaPiece], None]


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream, however it was framed: server-sent event, line of NDJSON, message of an AWS event stream."""

    data: str
    name: str = "message"


class Framing(Protocol):
    """Events out of a byte stream, whatever way it was cut into chunks."""

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that this chunk completes. Raises ValueError where the bytes cannot be read."""

    def close(self) -> list[Event]:
        """The events left at the end of the stream."""


class Streamed(Protocol):
    """A streamed answer put together again: feed each event, until `done`; then `result`."""

    done: bool

    @property
    def complete(self) -> bool:
        """The model said why it stopped, or the server that all was sent."""

    def feed(self, event: Event, *, cut: bool = False) -> list[DeltaPiece]:
        """The pieces in one event. `cut`: the stream ended in it."""

    def result(self) -> Answer | Failure:
        """The whole answer, or why there is none, with what had arrived."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP call as a wire protocol wants it made and read. `path` stands below base_url, query included."""

    path: str
    body: Body
    whole: Callable[[Any], Answer | Failure]
    """Reads the decoded JSON body of a 200."""
    stream: Callable[[], Streamed] | None = None
    framing: Callable[[], Framing] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[WarningV1, ...] = ()
    """What the request could not carry; they go into the answer."""


class WireProtocol(Protocol):
    """Pure conversion, both ways. Raises Unconvertible where a request cannot be said."""

    def chat(self, request: ChatRequestV1, model: str) -> Exchange:
        """The exchange that asks for the next message."""

    def embed(self, request: EmbedRequestV1, model: str) -> Exchange:
        """The exchange that asks for one vector for each text."""

    def failure(self, status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Failure:
        """What an answer with an error status means. `headers` looks names up without regard to case."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of a free GET. `status` is None where no answer came, `body` where it was not wanted or is not JSON."""

    status: int | None
    body: Any = None
    failure: Failure | None = None


class Client(Protocol):
    """One configured provider, ready to be asked."""

    async def look(self, path: str, *, timeout_s: float, read: bool = False) -> Looked:
        """A GET that costs nothing: `path` stands below base_url, or below its host ("host:/…"). `read`: the body is wanted."""

    async def chat(self, request: ChatRequestV1, model: str, *, timeout_s: float, idempotency_key: str, on_delta: OnDelta | None = None) -> Answer | Failure:
        """Asks for the next message. `on_delta` hears the pieces of a streamed answer; the answer is whole in any case."""

    async def embed(self, request: EmbedRequestV1, model: str, *, timeout_s: float, idempotency_key: str) -> Answer | Failure:
        """Asks for one vector for each text."""
