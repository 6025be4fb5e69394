"""One delivery of a stored message to a handler, and how it is answered."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bus.subjects import Subjects
from bus.wire import Incoming, Wire


@dataclass(slots=True, eq=False)
class Delivery:
    """A message from a consumer. `deliveries` counts from 1; `tokens` is the subject without root and version."""

    subject: str
    tokens: list[str]
    body: bytes
    headers: dict[str, str]
    stream: str
    seq: int
    deliveries: int
    stored_at: datetime
    reply: str = field(default="", repr=False)

    def ack(self, nc: Wire) -> None:
        nc.send(self.reply, b"+ACK")

    def nak(self, nc: Wire, delay_s: float) -> None:
        nc.send(self.reply, b'-NAK {"delay":%d}' % int(delay_s * 1e9))

    def in_progress(self, nc: Wire) -> None:
        nc.send(self.reply, b"+WPI")


Handler = Callable[[Delivery], Awaitable[None]]


def from_message(message: Incoming, subjects: Subjects) -> Delivery:
    """Read the ack subject: `$JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>`."""
    tokens = message.reply.split(".")
    if len(tokens) >= 11:
        tokens = tokens[2:]
    stored_at = datetime.fromtimestamp(int(tokens[7]) / 1e9, UTC)
    return Delivery(
        message.subject,
        subjects.tokens(message.subject),
        message.data,
        message.headers,
        tokens[2],
        int(tokens[5]),
        int(tokens[4]),
        stored_at,
        message.reply,
    )
