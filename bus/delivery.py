"""One delivery of a stored message to a handler, and how it is answered."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

from bus.subjects import Subjects
from bus.wire import Incoming, Wire


class Delivery:
    """A message from a consumer. `deliveries` counts from 1; `tokens` is the subject without root and version."""

    __slots__ = ("_headers", "body", "consumer", "deliveries", "reply", "seq", "stored_at", "stream", "subject", "tokens")

    def __init__(
        self,
        subject: str,
        tokens: list[str],
        body: bytes,
        headers: Mapping[str, str] | Incoming,
        stream: str,
        seq: int,
        deliveries: int,
        stored_at: datetime,
        reply: str = "",
        consumer: str = "",
    ) -> None:
        """`headers`: or the message whose headers are read when they are asked for. `consumer`: the durable that delivered it."""
        self.subject, self.tokens, self.body, self._headers = subject, tokens, body, headers
        self.stream, self.seq, self.deliveries, self.stored_at, self.reply, self.consumer = stream, seq, deliveries, stored_at, reply, consumer

    @property
    def headers(self) -> Mapping[str, str]:
        return self._headers.headers if isinstance(self._headers, Incoming) else self._headers

    @property
    def raw_headers(self) -> bytes:
        """The headers as they came, for whoever looks for one; empty where they were not read from a connection."""
        return self._headers.raw if isinstance(self._headers, Incoming) else b""

    def ack(self, nc: Wire) -> None:
        nc.send(self.reply, b"+ACK")

    def nak(self, nc: Wire, delay_s: float) -> None:
        nc.send(self.reply, b'-NAK {"delay":%d}' % int(delay_s * 1e9))

    def in_progress(self, nc: Wire) -> None:
        nc.send(self.reply, b"+WPI")


Handler = Callable[[Delivery], Awaitable[None]]


def from_message(message: Incoming, subjects: Subjects) -> Delivery:
    """Read the ack subject: `$JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>`."""
    subject, reply = message.subject, message.reply
    tokens = reply.split(".")
    if len(tokens) >= 11:
        tokens = tokens[2:]
    stored_at = datetime.fromtimestamp(int(tokens[7]) / 1e9, UTC)
    return Delivery(subject, subjects.tokens(subject), message.data, message, tokens[2], int(tokens[5]), int(tokens[4]), stored_at, reply, tokens[3])
