"""nats-py's client with a shorter way for what passes most often: ready-made commands out, messages in without a queue and a task between.

The one module that touches private parts of nats-py 2.16 (ADR 15); tests/integration/test_wire.py holds what it relies on.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.protocol.parser import AWAITING_CONTROL_LINE, MAX_CONTROL_LINE_SIZE, Parser

HEADER_LINE = b"NATS/1.0"
BLANK = " \t\r\n\v\f"
MESSAGE = b"MH"
"""How lines begin that announce a message: MSG, HMSG."""
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


def header_block(headers: Mapping[str, str], own: str = "") -> bytes:
    """Headers as NATS writes them, after `own` lines that are known to be whole. Raises BadHeaderError where a value would begin a line of its own."""
    if not headers:
        return f"NATS/1.0\r\n{own}\r\n".encode()
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        raise nats.errors.BadHeaderError("a header's name or value holds a line break")
    return f"NATS/1.0\r\n{own}{lines}\r\n".encode()


def read_headers(lines: bytes) -> dict[str, str]:
    """What nats-py reads from a header block, without looking at each character: a page of a stream has thousands of headers."""
    found = {}
    for line in lines.decode("utf-8", "replace").split("\r\n"):
        name, colon, value = line.partition(":")
        name = name.strip(BLANK)
        if colon and name.isascii() and len(name.split()) == 1:
            found[name] = value.strip(BLANK)
    return found


class Reader(Parser):
    """nats-py's protocol parser, with a straight way for whole messages; whatever else comes goes the old way."""

    def __init__(self, nc: Any, direct: dict[int, Heard]) -> None:
        super().__init__(nc)
        self._direct = direct

    async def parse(self, data: bytes = b"") -> None:
        if self.state != AWAITING_CONTROL_LINE:
            await super().parse(data)
            return
        buffer = self.buf
        buffer += data
        at = 0
        while (message := _message(buffer, at)) is not None:
            at, sid, subject, reply, body, headers = message
            heard = self._direct.get(sid)
            if heard is not None:
                heard(Incoming(subject.decode(), reply.decode(), body, headers))
                continue
            del buffer[:at]
            at = 0
            await self.nc._process_msg(sid, subject, reply, body, headers)
            if self.buf is not buffer:  # reset by a reconnect meanwhile
                return
        del buffer[:at]
        if buffer and (buffer[0] not in MESSAGE or len(buffer) > MAX_CONTROL_LINE_SIZE):
            await super().parse()


Message = tuple[int, int, bytes, bytes, bytes, bytes | None]


def _message(buffer: bytearray, at: int) -> Message | None:
    """The whole message that begins at `at`: where the next begins, sid, subject, reply, body, headers. None: not a message, or not all of it yet."""
    line_end = buffer.find(b"\r\n", at)
    if line_end <= at or buffer[at] not in MESSAGE:
        return None
    words = bytes(buffer[at:line_end]).split()
    headed = words[0] == b"HMSG"
    try:
        begin, size, sid = line_end + 2, int(words[-1]), int(words[2])
        body_at = begin + int(words[-2]) if headed else begin
    except (ValueError, IndexError):
        raise nats.errors.ProtocolError(f"a message line of {line_end - at} bytes that cannot be read") from None
    end = begin + size
    if len(buffer) < end + 2:
        return None
    reply = words[3] if len(words) == (6 if headed else 5) else b""
    return end + 2, sid, words[1], reply, bytes(buffer[body_at:end]), bytes(buffer[begin:body_at]) if headed else None


class Wire(Client):
    """A nats-py client. `send` and `listen` are for the hot path; all else works as it does in nats-py."""

    def __init__(self) -> None:
        super().__init__()
        self._direct: dict[int, Heard] = {}
        self._write_due = False
        self._ps = Reader(self, self._direct)

    def send(self, subject: str, body: bytes, reply: str = "", headers: bytes = b"") -> None:
        """Publish without waiting: written with all else that is sent in this turn of the loop, or after a reconnect.

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
        if not self._write_due:
            self._write_due = True
            asyncio.get_running_loop().call_soon(self._write)

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

    def _write(self) -> None:
        """What nats-py's flusher does, without a queue and a task: whichever comes first writes all that waits."""
        self._write_due = False
        if self._pending and self.is_connected and self._transport is not None:
            pending, self._pending, self._pending_data_size = self._pending, [], 0
            self._transport.writelines(pending)

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
