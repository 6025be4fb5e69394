"""A message as a stream holds it, as a direct get or the stream's leader tells it."""

from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import Base64Bytes, BaseModel

from bus.errors import Unavailable
from bus.wire import Incoming

NO_MESSAGE = 10037


@dataclass(frozen=True)
class Stored:
    """A message as a stream holds it."""

    subject: str
    seq: int
    stored_at: datetime
    headers: dict[str, str]
    body: bytes


class ApiError(BaseModel):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Message(BaseModel):
    subject: str
    seq: int
    time: str
    hdrs: Base64Bytes = b""
    data: Base64Bytes = b""


class _Answer(BaseModel):
    error: ApiError | None = None
    message: _Message | None = None


def from_direct(message: Incoming) -> Stored | None:
    """The answer to a direct get; None: the replica that answered has no such message. Raises Unavailable."""
    if message.status == "404":
        return None
    if message.status:
        raise Unavailable(f"direct get: {message.status} {message.description}")
    headers = message.headers
    return Stored(headers["Nats-Subject"], int(headers["Nats-Sequence"]), parse_time(headers["Nats-Time-Stamp"]), headers, message.data)


def from_leader(stream: str, body: bytes) -> Stored | None:
    """The answer of a stream's leader; None: there is no such message. Raises Unavailable."""
    answer = _Answer.model_validate_json(body)
    if answer.error is not None and answer.error.err_code == NO_MESSAGE:
        return None
    if answer.message is None:
        why = answer.error or ApiError(description="an empty answer")
        raise Unavailable(f"stream {stream!r}: {why.description} ({why.err_code})")
    found = answer.message
    return Stored(found.subject, found.seq, parse_time(found.time), _headers(found.hdrs), found.data)


def _headers(block: bytes) -> dict[str, str]:
    """`NATS/1.0`, then one `Name: value` a line."""
    lines = block.decode(errors="surrogateescape").split("\r\n")[1:]
    return {name: value.strip() for name, colon, value in (line.partition(":") for line in lines) if colon}


def parse_time(text: str) -> datetime:
    """RFC 3339 as NATS writes it, nanoseconds cut to microseconds."""
    head, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{head}.{fraction[:6].ljust(6, '0')}").replace(tzinfo=UTC)
