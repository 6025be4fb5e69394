"""One delivery of a stored message to a handler, and how it is answered."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from nats.aio.client import Client
from nats.aio.msg import Msg

from bus.subjects import Subjects


@dataclass(frozen=True)
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
    reply: str = ""

    async def ack(self, nc: Client) -> None:
        await nc.publish(self.reply, b"+ACK")

    async def nak(self, nc: Client, delay_s: float) -> None:
        await nc.publish(self.reply, b'-NAK {"delay":%d}' % int(delay_s * 1e9))

    async def in_progress(self, nc: Client) -> None:
        await nc.publish(self.reply, b"+WPI")


Handler = Callable[[Delivery], Awaitable[None]]


def from_message(message: Msg, subjects: Subjects) -> Delivery:
    """Read the ack subject: `$JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>`."""
    tokens = message.reply.split(".")
    if len(tokens) >= 11:
        tokens = tokens[2:]
    return Delivery(
        subject=message.subject,
        tokens=subjects.tokens(message.subject),
        body=message.data,
        headers=message.headers or {},
        stream=tokens[2],
        seq=int(tokens[5]),
        deliveries=int(tokens[4]),
        stored_at=datetime.fromtimestamp(int(tokens[7]) / 1e9, UTC),
        reply=message.reply,
    )
