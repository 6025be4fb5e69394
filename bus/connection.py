"""One connection to NATS: publish with one awaited ack, expected sequences, direct gets."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import nats
import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import BaseModel

from bus.errors import Exists, TooLarge, Unavailable
from bus.replies import Replies
from bus.subjects import Subjects
from observability.tracing import current_trace, span

log = structlog.get_logger()

WRONG_LAST_SEQUENCE, WRITE_IN_FLIGHT, STREAM_FULL = 10071, 10164, 10077
ACK_TIMEOUT_S = 5.0
HEADER_ROOM_BYTES = 4096


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


class Ack(BaseModel):
    """A publish ack. `duplicate` means: not stored."""

    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    error: ApiError | None = None


class Bus:
    """A NATS connection that reconnects for ever. Errors: Exists, Unavailable, TooLarge."""

    def __init__(
        self,
        url: str = "nats://127.0.0.1:4222",
        *,
        root: str = "llm",
        name: str = "headrace",
        creds: str | None = None,
        tls_ca: str | None = None,
    ) -> None:
        self.url = url
        self.subjects = Subjects(root)
        self.nc = Client()
        self.on_reconnect: list[Callable[[], Awaitable[None]]] = []
        self.options: dict[str, Any] = {"servers": url.split(","), "name": name}
        if creds:
            self.options["user_credentials"] = creds
        if tls_ca:
            self.options["tls"] = ssl.create_default_context(cafile=tls_ca)
        self._replies = Replies(self.nc)

    @property
    def max_payload(self) -> int:
        return self.nc.max_payload

    @property
    def body_limit(self) -> int:
        """Bytes that a body may have beside its headers."""
        return self.nc.max_payload - HEADER_ROOM_BYTES

    async def connect(self, timeout_s: float | None = None) -> None:
        """Connect; with `timeout_s` give up then with Unavailable, else wait for the server as long as it takes."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._connect()
        except TimeoutError:
            raise Unavailable(f"no NATS server answers at {self.url}: start one with 'headrace up', or give --nats URL") from None
        await self._replies.start()

    async def _connect(self) -> None:
        while True:
            try:
                await self.nc.connect(
                    **self.options,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=0.25,  # type: ignore[arg-type]  # seconds; a fraction works
                    connect_timeout=5,
                    ping_interval=10,
                    max_outstanding_pings=2,
                    pending_size=64 << 20,
                    error_cb=self._on_error,
                    reconnected_cb=self._on_reconnect,
                    disconnected_cb=self._on_disconnect,
                )
            except (OSError, nats.errors.Error) as error:
                log.warning("bus_unreachable", url=self.url, error=repr(error))
                await asyncio.sleep(0.5)
            else:
                return

    async def close(self) -> None:
        self._replies.stop()
        if self.nc.is_connected:
            with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
                await asyncio.wait_for(self.nc.flush(2), 3)
        with contextlib.suppress(nats.errors.Error, OSError):
            await self.nc.close()

    async def publish(
        self,
        subject: str,
        body: bytes,
        headers: dict[str, str] | None = None,
        *,
        none_on: str | None = None,
        msg_id: str | None = None,
    ) -> Ack:
        """Store a message and await its ack. `none_on`: subject or pattern that must hold no message yet.

        Raises Exists, Unavailable, TooLarge. Server error 10164 (another write in flight) is tried again here.
        """
        if len(body) > self.body_limit:
            raise TooLarge(f"{len(body)} bytes on {subject!r}: the server takes at most {self.body_limit}")
        with span(f"publish {self.subjects.kind(subject)}", "producer", {"messaging.system": "nats", "messaging.operation.type": "send"}):
            sent = dict(headers or {})
            trace = current_trace()
            if trace is not None:
                sent.update(trace.headers())
            if msg_id is not None:
                sent["Nats-Msg-Id"] = msg_id
            if none_on is not None:
                sent["Nats-Expected-Last-Subject-Sequence"] = "0"
                if none_on != subject:
                    sent["Nats-Expected-Last-Subject-Sequence-Subject"] = none_on
            while True:
                ack = Ack.model_validate_json((await self.request(subject, body, sent)).data)
                if ack.error is None:
                    return ack
                if ack.error.err_code != WRITE_IN_FLIGHT:
                    raise self._refusal(subject, none_on, ack.error)
                await asyncio.sleep(0.01)

    async def persist(self, subject: str, body: bytes, headers: dict[str, str] | None = None, *, none_on: str, stream: str) -> int:
        """Publish until it is stored, however long the bus is away; returns its sequence.

        Raises Exists when somebody else's message stands there (an earlier try of the same body counts as stored).
        """
        delay_s = 0.1
        while True:
            try:
                return (await self.publish(subject, body, headers, none_on=none_on)).seq
            except Exists:
                try:
                    stored = await self.last(stream, none_on)
                except Unavailable:
                    continue
                if stored is not None and stored.body == body:
                    return stored.seq
                raise
            except Unavailable as error:
                log.warning("backpressure", subject=self.subjects.kind(subject), error=str(error))
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, 5.0)

    async def send(self, subject: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Core publish: nothing is awaited."""
        await self.nc.publish(subject, body, headers=headers)

    async def request(self, subject: str, body: bytes, headers: dict[str, str] | None = None, timeout_s: float = ACK_TIMEOUT_S) -> Msg:
        """One question, one answer. Raises Unavailable."""
        return await self._replies.ask(subject, body, headers, timeout_s)

    async def last(self, stream: str, subject: str) -> Stored | None:
        """The last message on a subject or pattern, by direct get."""
        return self._stored(await self.request(f"$JS.API.DIRECT.GET.{stream}", b'{"last_by_subj":"%s"}' % subject.encode()))

    async def get(self, stream: str, seq: int) -> Stored | None:
        """One message by its sequence, by direct get."""
        return self._stored(await self.request(f"$JS.API.DIRECT.GET.{stream}", b'{"seq":%d}' % seq))

    async def scan(self, stream: str, seq: int, batch: int = 256, subject: str = ">") -> list[Stored]:
        """Up to `batch` messages from a sequence on, by one batched direct get."""
        inbox = self.nc.new_inbox()
        found: list[Stored] = []
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def take(message: Msg) -> None:
            headers = message.headers or {}
            if headers.get("Status") == "503" and not done.done():
                done.set_exception(Unavailable(f"stream {stream!r} does not answer"))
            elif "Status" in headers:
                if not done.done():
                    done.set_result(None)
            else:
                stored = self._stored(message)
                if stored is not None:
                    found.append(stored)

        subscription = await self.nc.subscribe(inbox, cb=take)
        try:
            query = b'{"seq":%d,"batch":%d,"max_bytes":33554432,"next_by_subj":"%s"}' % (max(seq, 1), batch, subject.encode())
            await self.nc.publish(f"$JS.API.DIRECT.GET.{stream}", query, reply=inbox)
            await asyncio.wait_for(done, ACK_TIMEOUT_S)
        except TimeoutError:
            raise Unavailable(f"stream {stream!r} does not answer") from None
        finally:
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()
        return found

    async def delete(self, stream: str, seq: int) -> None:
        """Remove one message; one that is gone already is fine. Raises Unavailable."""
        await self.request(f"$JS.API.STREAM.MSG.DELETE.{stream}", b'{"seq":%d,"no_erase":true}' % seq)

    def _stored(self, message: Msg) -> Stored | None:
        headers = message.headers or {}
        if headers.get("Status") == "404":
            return None
        if "Status" in headers:
            raise Unavailable(f"direct get: {headers['Status']} {headers.get('Description', '')}")
        stored_at = parse_time(headers["Nats-Time-Stamp"])
        return Stored(headers["Nats-Subject"], int(headers["Nats-Sequence"]), stored_at, headers, message.data)

    def _refusal(self, subject: str, none_on: str | None, error: ApiError) -> Exception:
        if error.err_code == WRONG_LAST_SEQUENCE:
            return Exists(none_on or subject)
        if error.err_code == STREAM_FULL and none_on is not None and "per subject" in error.description:
            return Exists(none_on)
        return Unavailable(f"{subject!r}: {error.description} ({error.err_code})")

    async def _on_error(self, error: Exception) -> None:
        log.warning("bus_error", error=repr(error))

    async def _on_disconnect(self) -> None:
        self._replies.fail_all()

    async def _on_reconnect(self) -> None:
        log.info("bus_reconnected")
        for callback in self.on_reconnect:
            await callback()


def parse_time(text: str) -> datetime:
    """RFC 3339 as NATS writes it, nanoseconds cut to microseconds."""
    head, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{head}.{fraction[:6].ljust(6, '0')}").replace(tzinfo=UTC)
