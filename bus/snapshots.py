"""One stream to a file and back, by JetStream's own snapshot and restore; nats-py has neither."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import nats.errors

from bus.connection import Bus
from bus.errors import NobodyListens, Unavailable
from bus.stored import Stored, from_leader
from bus.wire import Incoming

CHUNK_BYTES = 128 << 10
WINDOW_BYTES = 4 << 20
"""What the server sends ahead of our acks."""
SILENCE_S = 30.0
API_TIMEOUT_S = 15.0
DONE = ("", "204")
"""How the last, empty chunk of a snapshot is marked; any other status is why the server gave up."""
Advance = Callable[[int], None]
Json = dict[str, Any]


async def ask(bus: Bus, subject: str, question: Json, timeout_s: float = API_TIMEOUT_S) -> Json:
    """One question to JetStream's API. Raises Unavailable with the server's words."""
    data = (await bus.request(f"$JS.API.{subject}", json.dumps(question).encode(), timeout_s=timeout_s)).data
    answer: Json = json.loads(data or b"{}")
    if "error" in answer:
        error = answer["error"]
        raise Unavailable(f"{subject}: {error.get('description')} ({error.get('err_code')})")
    return answer


async def snapshot(bus: Bus, stream: str, file: Path, advance: Advance) -> tuple[Json, Json]:
    """Write the messages that the stream has now; its configuration and state. `advance` hears of bytes. Raises Unavailable, OSError.

    What is removed while the snapshot runs is missing in it, what is added is not in it.
    """
    chunks: asyncio.Queue[Incoming] = asyncio.Queue()
    inbox = bus.nc.new_inbox()
    subscription = await bus.nc.listen(inbox, chunks.put_nowait)
    try:
        await bus.nc.flush()  # another node of a cluster sends nothing before it knows that somebody listens
        wanted = {"deliver_subject": inbox, "no_consumers": True, "chunk_size": CHUNK_BYTES, "window_size": WINDOW_BYTES}
        begun = await ask(bus, f"STREAM.SNAPSHOT.{stream}", wanted)
        with file.open("wb") as output:
            async for chunk in _until_empty(chunks, stream):
                output.write(chunk.data)
                advance(len(chunk.data))
                if chunk.reply:
                    bus.nc.send(chunk.reply, b"")
    finally:
        with contextlib.suppress(nats.errors.Error):
            await subscription.unsubscribe()
    return begun["config"], begun["state"]


async def _until_empty(chunks: asyncio.Queue[Incoming], stream: str) -> AsyncIterator[Incoming]:
    while True:
        try:
            chunk = await asyncio.wait_for(chunks.get(), SILENCE_S)
        except TimeoutError:
            raise Unavailable(f"stream {stream!r}: the server stopped sending its snapshot; begin the backup again") from None
        if not chunk.data:
            if chunk.status not in DONE:
                raise Unavailable(f"stream {stream!r}: the server gave its snapshot up: {chunk.status} {chunk.description}; begin the backup again")
            return
        yield chunk


async def restore(bus: Bus, config: Json, state: Json, file: Path, advance: Advance) -> Json:
    """Make a stream that does not exist from a snapshot; its state. What was begun and failed is removed. Raises Unavailable, OSError."""
    stream = config["name"]
    place = (await ask(bus, f"STREAM.RESTORE.{stream}", {"config": config, "state": state}))["deliver_subject"]
    try:
        with file.open("rb") as content:
            while chunk := content.read(CHUNK_BYTES):
                _accepted(stream, await _send(bus, place, chunk))
                advance(len(chunk))
        end = await _send(bus, place, b"")
        _accepted(stream, end)
    except Unavailable:
        with contextlib.suppress(Unavailable):
            await ask(bus, f"STREAM.DELETE.{stream}", {})
        raise
    restored: Json = json.loads(end)["state"]
    return restored


async def _send(bus: Bus, place: str, chunk: bytes) -> bytes:
    """The answer to a chunk. The node of a cluster that restores may answer us before the others know that it listens."""
    end = asyncio.get_running_loop().time() + API_TIMEOUT_S
    while True:
        try:
            return (await bus.request(place, chunk, timeout_s=SILENCE_S)).data
        except NobodyListens:
            if asyncio.get_running_loop().time() > end:
                raise
        await asyncio.sleep(0.05)


def _accepted(stream: str, data: bytes) -> None:
    """A chunk is answered with nothing, or with why the server refuses it."""
    error = json.loads(data).get("error") if data else None
    if error:
        raise Unavailable(f"stream {stream!r} cannot be restored: {error.get('description')} ({error.get('err_code')})")


async def led(bus: Bus, stream: str) -> None:
    """Wait until a stream that has just been made has a leader. Raises Unavailable."""
    end = asyncio.get_running_loop().time() + API_TIMEOUT_S
    while True:
        try:
            cluster = (await ask(bus, f"STREAM.INFO.{stream}", {})).get("cluster")
        except Unavailable:
            if asyncio.get_running_loop().time() > end:
                raise
        else:
            if not cluster or cluster.get("leader"):
                return
            if asyncio.get_running_loop().time() > end:
                raise Unavailable(f"stream {stream!r} was restored and has no leader: see 'headrace doctor', then restore again with --replace")
        await asyncio.sleep(0.1)


async def following(bus: Bus, stream: str, after: int) -> AsyncIterator[Stored]:
    """What the leader holds after a sequence, in order, up to the moment at which there is no more. Raises Unavailable."""
    while True:
        query = b'{"seq":%d,"next_by_subj":">"}' % (after + 1)
        found = from_leader(stream, (await bus.request(f"$JS.API.STREAM.MSG.GET.{stream}", query)).data)
        if found is None:
            return
        yield found
        after = found.seq


async def durables(bus: Bus, stream: str) -> list[Json]:
    """Every durable of a stream as its leader tells it: `config`, `ack_floor`, `delivered`, `num_waiting`. Raises Unavailable."""
    found: list[Json] = []
    while True:
        page = await ask(bus, f"CONSUMER.LIST.{stream}", {"offset": len(found)})
        if page.get("missing"):
            raise Unavailable(f"stream {stream!r}: consumers {page['missing']} have no leader that answers; wait until the cluster is whole")
        found += page.get("consumers") or []
        if len(found) >= page.get("total", 0) or not page.get("consumers"):
            return [consumer for consumer in found if consumer["config"].get("durable_name")]


async def state_of(bus: Bus, stream: str) -> Json | None:
    """A stream's state; None where there is no such stream. Raises Unavailable."""
    try:
        state: Json = (await ask(bus, f"STREAM.INFO.{stream}", {}))["state"]
    except Unavailable as error:
        if str(error).endswith("(10059)"):
            return None
        raise
    return state
