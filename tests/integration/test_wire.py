"""What bus/wire.py relies on in nats-py: order, reconnects, status messages and the buffer, on a real server."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats.errors
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client

from bus.connection import Bus
from bus.server import EmbeddedServer
from bus.wire import Incoming, Wire, header_block, read_headers
from tests.support.processes import eventually


@asynccontextmanager
async def connected(folder: Path) -> AsyncIterator[tuple[EmbeddedServer, Bus]]:
    server = EmbeddedServer(folder / "nats", log=folder / "nats-server.log")
    await asyncio.to_thread(server.start)
    bus = Bus(server.url)
    try:
        await bus.connect(timeout_s=10)
        yield server, bus
    finally:
        await bus.close()
        server.stop()


def test_messages_arrive_in_order_with_their_headers_beside_nats_py_s_own_publishes(tmp_path: Path) -> None:
    async def run() -> None:
        async with connected(tmp_path) as (_, bus):
            heard: list[Incoming] = []
            await bus.nc.listen("t.*", heard.append)
            for number in range(0, 200, 2):
                bus.nc.send(f"t.{number}", b"x" * (number * 997), headers=header_block({"a": str(number), "b": "ü"}))
                await bus.nc.publish(f"t.{number + 1}", b"", headers={"a": str(number + 1)})
            await eventually(lambda: len(heard) == 200)
            assert [message.subject for message in heard] == [f"t.{number}" for number in range(200)]
            assert [message.headers["a"] for message in heard] == [str(number) for number in range(200)]
            assert heard[150].headers["b"] == "ü" and len(heard[150].data) == 150 * 997 and heard[150].status == ""

    asyncio.run(run())


def test_what_is_sent_while_the_server_is_away_arrives_after_it(tmp_path: Path) -> None:
    async def run() -> None:
        async with connected(tmp_path) as (server, bus):
            heard: list[Incoming] = []
            await bus.nc.listen("t.*", heard.append)
            await bus.nc.flush()
            assert server.process is not None
            server.process.kill()
            server.process.wait()
            await eventually(lambda: not bus.nc.is_connected)
            bus.nc.send("t.1", b"kept")
            await asyncio.to_thread(server.start)
            await eventually(lambda: bus.nc.is_connected)
            bus.nc.send("t.2", b"after")
            await eventually(lambda: [message.data for message in heard] == [b"kept", b"after"])

    asyncio.run(run())


def test_a_status_is_told_from_a_message(tmp_path: Path) -> None:
    async def run() -> None:
        async with connected(tmp_path) as (_, bus):
            heard: list[Incoming] = []
            await bus.nc.listen("inbox", heard.append)
            bus.nc.send("nobody.listens", b"", "inbox")
            await eventually(lambda: heard)
            assert (heard[0].status, heard[0].data) == ("503", b"")
            bus.nc.send("inbox", b"hello", headers=header_block({"Status": "404"}))
            await eventually(lambda: len(heard) == 2)
            assert (heard[1].status, heard[1].headers) == ("", {"Status": "404"})

    asyncio.run(run())


def test_an_unsubscribed_listener_hears_nothing_more(tmp_path: Path) -> None:
    async def run() -> None:
        async with connected(tmp_path) as (_, bus):
            first: list[Incoming] = []
            second: list[Incoming] = []
            subscription = await bus.nc.listen("t", first.append)
            await bus.nc.listen("t", second.append)
            bus.nc.send("t", b"1")
            await eventually(lambda: first and second)
            await subscription.unsubscribe()
            bus.nc.send("t", b"2")
            await eventually(lambda: len(second) == 2)
            assert len(first) == 1

    asyncio.run(run())


@given(st.dictionaries(st.text("abcXYZ-", min_size=1), st.text(min_size=1, max_size=40)))
def test_a_header_never_begins_a_line_of_its_own(headers: dict[str, str]) -> None:
    try:
        block = header_block(headers)
    except (nats.errors.BadHeaderError, UnicodeEncodeError):
        assert any("\r" in value or "\n" in value or not _encodable(value) for value in headers.values())
        return
    assert not any("\r" in value or "\n" in value for value in headers.values())
    read = Incoming("s", "", b"", block).headers
    assert read == {name: value.strip() for name, value in headers.items()} or any(value != value.strip() for value in headers.values())
    assert block.count(b"\r\n") == len(headers) + 2


def _encodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


@pytest.mark.parametrize("subject", ["", "a b", "a\r\nPUB x 0"])
def test_a_subject_that_would_be_two_words_is_refused(subject: str) -> None:
    with pytest.raises(nats.errors.BadSubjectError):
        Wire().send(subject, b"")


def test_a_closed_connection_takes_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with connected(tmp_path) as (_, bus):
            await bus.nc.close()
            with pytest.raises(nats.errors.ConnectionClosedError):
                bus.nc.send("t", b"")

    asyncio.run(run())


def test_a_subscription_that_ended_keeps_nothing_of_what_was_heard(tmp_path: Path) -> None:
    async def heard_once(bus: Bus) -> "weakref.ref[Gathered]":
        heard = Gathered()
        subscription = await bus.nc.listen("t", heard.append)
        bus.nc.send("t", b"one")
        await eventually(lambda: len(heard) == 1)
        await subscription.unsubscribe()
        return weakref.ref(heard)

    async def run() -> None:
        async with connected(tmp_path) as (_, bus):
            kept = await heard_once(bus)
            gc.collect()
            assert kept() is None

    asyncio.run(run())


class Gathered(list[Incoming]):
    """A list that can be referred to weakly."""


LINES = st.lists(st.text(" \t:aZ-9ü\n\v", max_size=8).map(str.encode) | st.binary(max_size=6), max_size=6).map(b"\r\n".join)


@given(LINES)
def test_headers_are_read_as_nats_py_reads_them(lines: bytes) -> None:
    theirs = Client._parse_header_lines(lines)
    theirs.pop("", None)
    assert read_headers(lines) == theirs
