"""The straight way through NATS's protocol reads what nats-py's own parser reads, whatever way the bytes were cut."""

import asyncio
from typing import Any

import nats.errors
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.protocol.parser import Parser

from bus.wire import Incoming, Reader

Heard = tuple[int, bytes, bytes, bytes, bytes | None]


class Listener:
    """What the parser calls on its client."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.told: list[str] = []

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
        self.heard.append((sid, subject, reply, data, headers))

    async def _process_ping(self) -> None:
        self.told.append("ping")

    async def _process_pong(self) -> None:
        self.told.append("pong")

    async def _process_info(self, info: dict[str, Any]) -> None:
        self.told.append(str(info))

    async def _process_err(self, error: str) -> None:
        self.told.append(error)


WORDS = st.text("abc.*", min_size=1, max_size=9)
BODIES = st.one_of(st.binary(max_size=60), st.just(b"\r\nMSG a 1 3\r\nabc\r\n"), st.binary(min_size=5000, max_size=5100))


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """One thing that a server says."""
    kind = draw(st.sampled_from(["MSG", "HMSG", "PING", "PONG", "+OK", "INFO", "-ERR"]))
    if kind not in ("MSG", "HMSG"):
        return {"INFO": b'INFO {"a":1}\r\n', "-ERR": b"-ERR 'no'\r\n"}.get(kind, kind.encode() + b"\r\n")
    body, reply = draw(BODIES), draw(st.one_of(st.just(""), WORDS))
    headers = b"NATS/1.0\r\na: b\r\n\r\n" if kind == "HMSG" else b""
    sizes = f"{len(headers)} {len(headers) + len(body)}" if headers else str(len(body))
    words = " ".join(filter(None, [kind, draw(WORDS), str(draw(st.integers(1, 99))), reply, sizes]))
    return words.encode() + b"\r\n" + headers + body + b"\r\n"


def read(parser: Parser, stream: bytes, cuts: list[int]) -> None:
    async def run() -> None:
        begin = 0
        for end in [*sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]:
            await parser.parse(stream[begin:end])
            begin = end

    asyncio.run(run())


@given(st.lists(lines(), max_size=8), st.lists(st.integers(0, 20_000), max_size=12))
def test_any_cut_of_any_stream_is_read_as_nats_py_reads_it(said: list[bytes], cuts: list[int]) -> None:
    ours, theirs = Listener(), Listener()
    read(Reader(ours, {}), b"".join(said), cuts)
    read(Parser(theirs), b"".join(said), [])
    assert [(*each[:4], each[4] or None) for each in ours.heard] == [(*each[:4], each[4] or None) for each in theirs.heard]
    assert ours.told == theirs.told


@given(st.lists(lines(), max_size=8), st.lists(st.integers(0, 20_000), max_size=12))
def test_direct_messages_are_heard_in_their_order(said: list[bytes], cuts: list[int]) -> None:
    heard: list[Incoming] = []

    class Direct(Listener):
        async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes | None) -> None:
            heard.append(Incoming(subject.decode(), reply.decode(), data, headers))

    theirs = Listener()
    read(Reader(Direct(), dict.fromkeys(range(100), heard.append)), b"".join(said), cuts)
    read(Parser(theirs), b"".join(said), [])
    assert [(each.subject.encode(), each.reply.encode(), each.data) for each in heard] == [each[1:4] for each in theirs.heard]


@pytest.mark.parametrize("line", [b"MSG\r\n", b"MSG a b c\r\n", b"HMSG a 1 x 5\r\n"])
def test_a_message_line_that_cannot_be_read_is_a_protocol_error(line: bytes) -> None:
    with pytest.raises(nats.errors.ProtocolError):
        read(Reader(Listener(), {}), line, [])
