"""Bodies of each protocol as its documentation shows them, and a server that answers them; all say the same: TEXT, two CALLS, USAGE."""

import asyncio
import binascii
import struct
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from catalog.kinds import kind_of, kinds
from services.adapters.protocol import Client
from tests.support.clients import client_at

FOLDER = Path(__file__).parent / "bodies"
TEXT = "Grüße aus Paris 👋"
CALLS = [("weather", {"city": "Paris"}), ("clock", {"zone": "CET"})]
KEY = "sk-secret-0123456789"
AWS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": KEY}
OPTIONS = {"project": "p", "location": "eu", "region": "us-east-1"}
CONTENT_TYPES = {"sse": "text/event-stream", "aws": "application/vnd.amazon.eventstream", "lines": "application/x-ndjson"}


@dataclass(frozen=True)
class Bodies:
    """`bodies/<protocol>.toml`. In `answer` {STOP} stands for a reason of `stops`, in `error` {KEY} for the key that was sent.

    `stream` is text, or for AWS event streams a list of tables {type, payload}.
    """

    framing: str
    answer: str
    two_calls: str
    error: str
    stream: Any
    stops: dict[str, str]

    @property
    def content_type(self) -> str:
        return CONTENT_TYPES[self.framing]

    def streamed(self) -> bytes:
        return b"".join(_frame(event["type"], event["payload"]) for event in self.stream) if self.framing == "aws" else str(self.stream).encode()


@cache
def bodies_of(protocol: str) -> Bodies:
    return Bodies(**tomllib.loads((FOLDER / f"{protocol}.toml").read_text(encoding="utf-8")))


def documented() -> list[str]:
    """The protocols that have bodies."""
    spoken = {kind.protocol for kind in kinds().values()}
    return sorted(file.stem for file in FOLDER.glob("*.toml") if file.stem in spoken)


def provider_types() -> list[str]:
    """The provider types that speak them."""
    return [name for name, kind in kinds().items() if kind.protocol in documented()]


def a_type_of(protocol: str) -> str:
    return next(name for name, kind in kinds().items() if kind.protocol == protocol)


def _frame(event_type: str, payload: str) -> bytes:
    """One message of an AWS event stream: https://docs.aws.amazon.com/lexv2/latest/dg/event-stream-encoding.html"""
    named = {":event-type": event_type, ":content-type": "application/json", ":message-type": "event"}
    headers = b"".join(bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode() for name, value in named.items())
    body = payload.encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(body), len(headers))
    message = prelude + struct.pack(">I", binascii.crc32(prelude)) + headers + body
    return message + struct.pack(">I", binascii.crc32(message))


VARIANTS = {
    "lines end with CRLF": lambda stream: stream.replace(b"\n", b"\r\n"),
    "lines end with CR": lambda stream: stream.replace(b"\n", b"\r"),
    "comments and keep-alives": lambda stream: b": hello\n\n" + stream.replace(b"\n\n", b"\n\n: keep-alive\n\n:\nretry: 3000\n\n"),
    "data over several lines": lambda stream: stream.replace(b'data: {"', b'data: {\ndata: "'),
    "data over several lines that end with CRLF": lambda stream: stream.replace(b'data: {"', b'data: {\ndata: "').replace(b"\n", b"\r\n"),
    "a byte order mark": lambda stream: b"\xef\xbb\xbf" + stream,
    "no space after the colon": lambda stream: stream.replace(b"data: ", b"data:"),
    "no blank line at the end": lambda stream: stream.rstrip(b"\n"),
}
"""Ways in which the same server-sent events may be written."""


@dataclass
class Server:
    """Answers everything with what it was told last, and keeps what it was asked."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    chunk: int | None = None
    then: str = "end"
    asked: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def says(self, body: str | bytes, **how: Any) -> None:
        fields: dict[str, Any] = {"status": 200, "content_type": "application/json", "chunk": None, "then": "end", **how}
        self.body = body if isinstance(body, bytes) else body.encode()
        for name, value in fields.items():
            setattr(self, name, value)
        self.asked.clear()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append({"url": str(request.rel_url), "headers": dict(request.headers), "body": (await request.read()).decode()})
        if self.chunk is None and self.then == "end":
            return web.Response(status=self.status, body=self.body, headers={"Content-Type": self.content_type})
        response = web.StreamResponse(status=self.status, headers={"Content-Type": self.content_type})
        await response.prepare(request)
        step = self.chunk or len(self.body) or 1
        for at in range(0, len(self.body), step):
            await response.write(self.body[at : at + step])
            await asyncio.sleep(0)
        if self.then == "hold":
            await asyncio.sleep(60)
        if self.then == "abort" and request.transport is not None:
            await asyncio.sleep(0.02)  # a reset may overtake what was sent just before it
            request.transport.abort()
        return response


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[Server, aiohttp.ClientSession]]:
    server, app = Server(), web.Application()
    app.router.add_route("*", "/{rest:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        async with aiohttp.ClientSession() as session:
            yield server, session
    finally:
        await runner.cleanup()


def client_for(server: Server, session: aiohttp.ClientSession, type_name: str, **fields: Any) -> Client:
    """A client of this provider type, with a key wherever it takes one, and AWS's where it signs with them."""
    key = KEY if kind_of(type_name).auth not in ("none", "aws") else None
    return client_at(session, server.url, type_name, key, environ=AWS, **{"options": OPTIONS, **fields})
