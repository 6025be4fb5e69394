"""One connection to NATS: publish with one awaited ack, expected sequences, direct gets."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import ParseResult

import nats
import nats.errors
import structlog
from pydantic_core import from_json

from bus.access import access
from bus.errors import Exists, Full, TooLarge, Unavailable
from bus.replies import Replies
from bus.stored import ApiError, Stored, from_direct, from_leader
from bus.subjects import Subjects
from bus.telemetry import publishing, stored
from bus.wire import Incoming, Wire, header_block
from observability.tracing import current_trace, link, recording

log = structlog.get_logger()

WRONG_LAST_SEQUENCE, WRITE_IN_FLIGHT, STREAM_FULL = 10071, 10164, 10077
NO_ROOM = (10002, 10023, 10047)
"""Storage of the account, of the server, of what is reserved: used up."""
GONE_ALREADY = (10037, 10043, 10057)
EXPECTS = "Nats-Expected-Last-Subject-Sequence"
ACK_TIMEOUT_S = 5.0
HEADER_ROOM_BYTES = 4096


@dataclass(slots=True)
class Ack:
    """A publish ack. `duplicate` means: not stored."""

    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    error: ApiError | None = None


def read_ack(data: bytes) -> Ack:
    """The server's answer to a publish or a deletion."""
    fields = from_json(data)
    error = fields.get("error")
    return Ack(fields.get("stream", ""), fields.get("seq", 0), fields.get("duplicate", False), None if error is None else ApiError.model_validate(error))


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
        tls_cert: str | None = None,
        tls_key: str | None = None,
    ) -> None:
        """`url`: one server or several, comma-separated; `creds`, `tls_*`: files. Raises BadAccess, OSError."""
        self.access = access(url, creds=creds, tls_ca=tls_ca, tls_cert=tls_cert, tls_key=tls_key)
        self.url = ",".join(self.access.servers)
        self.subjects = Subjects(root)
        self.nc = Wire()
        self.on_reconnect: list[Callable[[], Awaitable[None]]] = []
        self.name = name
        self._last_error: Exception | None = None
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
        connecting = asyncio.create_task(self._connect())
        try:
            await asyncio.wait({connecting}, timeout=timeout_s)
        finally:
            while not connecting.done():  # more than once: `wait_for` of Python 3.11, inside nats-py, may swallow a cancel
                connecting.cancel()
                await asyncio.wait({connecting}, timeout=0.5)
        if connecting.cancelled():
            raise Unavailable(self._why_not_connected())
        connecting.result()
        await self._replies.start()

    async def _connect(self) -> None:
        while True:
            try:
                await self.nc.connect(
                    **self.access.options(),
                    name=self.name,
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

    def _why_not_connected(self) -> str:
        why = str(self._last_error or "")
        if "authorization" in why.lower():
            return f"the NATS server at {self.url} refuses these credentials: give --creds FILE, or nats://user:password@host:port"
        if self.nc.wants_tls:
            return f"no TLS with the NATS server at {self.url} ({why}): give --tls-ca FILE, and --tls-cert and --tls-key where it asks for them"
        return f"no NATS server answers at {self.url}: start one with 'headrace up', or give --nats URL"

    @property
    def server(self) -> ParseResult | None:
        """The server of this connection, while there is one."""
        return self.nc.connected_url

    @property
    def clustered(self) -> bool:
        """Whether a direct get may be answered by a replica that lags behind the stream's leader."""
        return self.nc.cluster is not None

    async def close(self) -> None:
        self._replies.stop()
        if self.nc.is_connected:
            with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
                await asyncio.wait_for(self.nc.flush(2), 3)
        with contextlib.suppress(nats.errors.Error, OSError, RuntimeError):  # uvloop's word for a transport that is closed: the server is away
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
        if not recording() or not self.subjects.travels(subject):
            return await self._publish(subject, body, headers, none_on, msg_id)
        with publishing(self.subjects, self.server, subject, len(body), headers or {}):
            ack = await self._publish(subject, body, headers, none_on, msg_id)
            stored(ack.stream, ack.seq)
            return ack

    async def _publish(self, subject: str, body: bytes, headers: Mapping[str, str] | None, none_on: str | None, msg_id: str | None) -> Ack:
        trace = current_trace()
        own = "" if trace is None else trace.lines()
        if none_on is not None:
            own += f"{EXPECTS}: 0\r\n" if none_on == subject else f"{EXPECTS}: 0\r\n{EXPECTS}-Subject: {none_on}\r\n"
        sent = headers if msg_id is None else {**(headers or {}), "Nats-Msg-Id": msg_id}
        if trace is not None and sent and "traceparent" in sent:  # the current trace goes on, whatever was copied
            sent = {name: value for name, value in sent.items() if name not in ("traceparent", "tracestate")}
        block = header_block(sent or {}, own) if sent or own else b""
        while True:
            ack = read_ack((await self._replies.ask(subject, body, block, ACK_TIMEOUT_S)).data)
            if ack.error is None:
                return ack
            if ack.error.err_code != WRITE_IN_FLIGHT:
                raise self._refusal(subject, none_on, ack)
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
                    there = await self.last(stream, none_on)
                except Unavailable:
                    continue
                if there is not None and there.body == body:
                    return there.seq
                if there is not None:
                    link(there.headers, self.subjects.kind(subject))
                raise
            except Unavailable as error:
                log.warning("backpressure", subject=self.subjects.kind(subject), error=str(error))
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, 5.0)

    async def send(self, subject: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Core publish: nothing is awaited."""
        self.nc.send(subject, body, headers=header_block(headers) if headers else b"")

    async def request(self, subject: str, body: bytes, headers: Mapping[str, str] | None = None, timeout_s: float = ACK_TIMEOUT_S) -> Incoming:
        """One question, one answer. Raises Unavailable."""
        return await self._replies.ask(subject, body, header_block(headers) if headers else b"", timeout_s)

    async def last(self, stream: str, subject: str, *, any_replica: bool = False) -> Stored | None:
        """The last message on a subject or pattern, as the stream's leader has it; `any_replica`: one that lags may answer too."""
        query = b'{"last_by_subj":"%s"}' % subject.encode()
        if self.clustered and not any_replica:
            return await self._of_leader(stream, query)
        if "*" in subject or ">" in subject:
            return from_direct(await self.request(f"$JS.API.DIRECT.GET.{stream}", query))
        return from_direct(await self.request(f"$JS.API.DIRECT.GET.{stream}.{subject}", b""))  # the form that a tenant may use for its own subjects

    async def lasts(self, *places: tuple[str, str]) -> list[Stored | None]:
        """What `last` gives for each (stream, subject or pattern), all asked for at once."""
        kind = "STREAM.MSG.GET" if self.clustered else "DIRECT.GET"
        asked = [
            (stream, self._replies.begin(f"$JS.API.{kind}.{stream}", b'{"last_by_subj":"%s"}' % subject.encode(), b"", ACK_TIMEOUT_S))
            for stream, subject in places
        ]
        try:
            return [from_leader(stream, (await answer).data) if self.clustered else from_direct(await answer) for stream, answer in asked]
        finally:
            for _, answer in asked:  # where one failed, nobody waits for the others
                answer.cancel() or answer.cancelled() or answer.exception()

    async def get(self, stream: str, seq: int) -> Stored | None:
        """One message by its sequence, by direct get; a replica's "no such message" is asked again of the leader."""
        query = b'{"seq":%d}' % seq
        found = from_direct(await self.request(f"$JS.API.DIRECT.GET.{stream}", query))
        return await self._of_leader(stream, query) if found is None and self.clustered else found

    async def _of_leader(self, stream: str, query: bytes) -> Stored | None:
        return from_leader(stream, (await self.request(f"$JS.API.STREAM.MSG.GET.{stream}", query)).data)

    async def scan(self, stream: str, seq: int, batch: int = 256, subject: str = ">") -> list[Stored]:
        """Up to `batch` messages from a sequence on, by one batched direct get. In a cluster the newest may be missing yet."""
        return await self._batch(stream, b'{"seq":%d,"batch":%d,"max_bytes":33554432,"next_by_subj":"%s"}' % (max(seq, 1), batch, subject.encode()))

    async def latest(self, stream: str, pattern: str) -> list[Stored]:
        """The last message of every subject that matches, at most 1,024 of them, by one batched direct get. A replica that lags may answer."""
        return await self._batch(stream, b'{"multi_last":["%s"]}' % pattern.encode())

    async def _batch(self, stream: str, query: bytes) -> list[Stored]:
        inbox = self.nc.new_inbox()
        found: list[Stored] = []
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def take(message: Incoming) -> None:
            if not message.status:
                stored = from_direct(message)
                if stored is not None:
                    found.append(stored)
            elif not done.done():
                done.set_exception(Unavailable(f"stream {stream!r} does not answer")) if message.status == "503" else done.set_result(None)

        subscription = await self.nc.listen(inbox, take)
        try:
            self.nc.send(f"$JS.API.DIRECT.GET.{stream}", query, inbox)
            await asyncio.wait_for(done, ACK_TIMEOUT_S)
        except TimeoutError:
            raise Unavailable(f"stream {stream!r} does not answer") from None
        finally:
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()
        return found

    async def delete(self, stream: str, seq: int) -> None:
        """Remove one message; one that is gone already is fine. Raises Unavailable."""
        answer = read_ack((await self.request(f"$JS.API.STREAM.MSG.DELETE.{stream}", b'{"seq":%d,"no_erase":true}' % seq)).data)
        if answer.error is not None and answer.error.err_code not in GONE_ALREADY:
            raise Unavailable(f"stream {stream!r}, deleting {seq}: {answer.error.description} ({answer.error.err_code})")

    def _refusal(self, subject: str, none_on: str | None, ack: Ack) -> Exception:
        error = ack.error or ApiError()
        if error.err_code == WRONG_LAST_SEQUENCE:
            return Exists(none_on or subject)
        if error.err_code == STREAM_FULL and none_on is not None and "per subject" in error.description:
            return Exists(none_on)
        if error.err_code == STREAM_FULL or error.err_code in NO_ROOM:
            return Full(ack.stream or self.subjects.kind(subject), f"{error.description}, {error.err_code}", of_server=error.err_code in NO_ROOM)
        return Unavailable(f"{subject!r}: {error.description} ({error.err_code})")

    async def _on_error(self, error: Exception) -> None:
        if "authorization" in str(error).lower() or self._last_error is None:
            self._last_error = error  # what follows a refusal (a broken pipe, an empty answer) says less
        log.warning("bus_error", error=repr(error))

    async def _on_disconnect(self) -> None:
        self._replies.fail_all()

    async def _on_reconnect(self) -> None:
        log.info("bus_reconnected")
        for callback in self.on_reconnect:
            await callback()
