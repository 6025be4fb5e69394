"""nats-py's client with a shorter way for what passes most often: ready-made commands out, messages in without a queue and a task between.

The one module that touches private parts of nats-py 2.16 (ADR 15); tests/integration/test_wire.py holds what it relies on.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.subscription import Subscription

HEADER_LINE = b"NATS/1.0"
BLANK = " \t\r\n\v\f"
LARGE_BYTES = 1 << 16
"""Larger bodies are not copied into one command."""


class Incoming:
    """A message as it came: subject and reply as text, headers unread until they are asked for."""

    __slots__ = ("_headers", "data", "raw", "reply", "subject")

    def __init__(self, subject: str, reply: str, data: bytes, raw: bytes | None) -> None:
        self.subject, self.reply, self.data = subject, reply, data
        self.raw = raw or b""
        self._headers: dict[str, str] | None = None

    @property
    def status(self) -> str:
        """The inline status that only the server writes ('404', '503' …); '' for a message."""
        return self.raw[9:12].decode("ascii", "replace") if self.raw[8:9] == b" " else ""

    @property
    def description(self) -> str:
        """The words after the status."""
        return self.raw[12 : self.raw.find(b"\r\n")].strip().decode("utf-8", "replace") if self.status else ""

    @property
    def headers(self) -> dict[str, str]:
        if self._headers is None:
            _, _, lines = self.raw.partition(b"\r\n")
            self._headers = read_headers(lines) if lines else {}
        return self._headers


Heard = Callable[[Incoming], None]


def header_block(headers: Mapping[str, str]) -> bytes:
    """Headers as NATS writes them. Raises BadHeaderError where a value would begin a line of its own."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        raise nats.errors.BadHeaderError("a header's name or value holds a line break")
    return f"NATS/1.0\r\n{lines}\r\n".encode()


def read_headers(lines: bytes) -> dict[str, str]:
    """What nats-py reads from a header block, without looking at each character: a page of a stream has thousands of headers."""
    found = {}
    for line in lines.decode("utf-8", "replace").split("\r\n"):
        name, colon, value = line.partition(":")
        name = name.strip(BLANK)
        if colon and name.isascii() and len(name.split()) == 1:
            found[name] = value.strip(BLANK)
    return found


class Wire(Client):
    """A nats-py client. `send` and `listen` are for the hot path; all else works as it does in nats-py."""

    def __init__(self) -> None:
        super().__init__()
        self._direct: dict[int, Heard] = {}

    def send(self, subject: str, body: bytes, reply: str = "", headers: bytes = b"") -> None:
        """Publish without waiting: written by the flusher in this turn of the loop, or after a reconnect.

        `headers`: a header_block. Raises BadSubjectError, ConnectionClosedError, OutboundBufferLimitError.
        """
        if not subject or " " in subject or "\n" in subject:
            raise nats.errors.BadSubjectError
        if headers:
            head = f"HPUB {subject} {reply} {len(headers)} {len(headers) + len(body)}\r\n".encode()
        else:
            head = f"PUB {subject} {reply} {len(body)}\r\n".encode()
        size = len(head) + len(headers) + len(body) + 2
        if not self.is_connected:
            self._refuse_unless_buffered(size)
        if size < LARGE_BYTES:
            self._pending.append(b"%b%b%b\r\n" % (head, headers, body))
        else:
            self._pending += (head, headers, body, b"\r\n")
        self._pending_data_size += size
        queue = self._flush_queue
        if queue is not None and queue.empty() and self.is_connected:
            queue.put_nowait(asyncio.get_running_loop().create_future())

    async def listen(self, subject: str, heard: Heard, queue: str = "") -> Subscription:
        """Subscribe; `heard` is called as soon as a message is read, must not wait and must not raise."""
        self._direct[self._sid + 1] = heard
        return await self.subscribe(subject, queue=queue, cb=_unreached)

    async def leave(self, subscription: Subscription, timeout_s: float) -> None:
        """Unsubscribe, but hear what the server had sent before it knew. Raises TimeoutError, ConnectionClosedError."""
        try:
            await self._send_unsubscribe(subscription._id)
            await asyncio.sleep(0)
            await asyncio.sleep(0)  # a PING overtakes what waits for the flusher
            await self.flush(timeout_s)  # type: ignore[arg-type]  # seconds; a fraction works
        finally:
            await subscription.unsubscribe()

    @property
    def cluster(self) -> str | None:
        """The name of the server's cluster, None for a server that stands alone."""
        return self._server_info.get("cluster")

    @property
    def wants_tls(self) -> bool:
        return bool(self._server_info.get("tls_required"))

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: Any) -> None:
        heard = self._direct.get(sid)
        if heard is None:
            await super()._process_msg(sid, subject, reply, data, headers)
        else:
            heard(Incoming(subject.decode(), reply.decode(), data, headers))

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        """Whoever heard is let go with its subscription, and with it all that it gathered."""
        self._direct.pop(sid, None)
        super()._remove_sub(sid, max_msgs)

    def _refuse_unless_buffered(self, size: int) -> None:
        if self.is_closed:
            raise nats.errors.ConnectionClosedError
        if self._pending_data_size + size > self._max_pending_size:
            raise nats.errors.OutboundBufferLimitError


async def _unreached(_: Any) -> None:
    raise RuntimeError("a direct subscription's messages do not come this way")
