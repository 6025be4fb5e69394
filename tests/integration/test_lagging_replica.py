"""A replica that lags denies what is there; no decision may rest on its word.

A real clustered server carries the answers; who gives them is scripted, since no lag of a real replica can be timed from outside.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from nats.aio.msg import Msg

from bus.connection import Bus
from bus.journal import claim
from bus.server import end
from bus.wire import Wire
from contracts.call import CallBegunV1
from contracts.origin import OriginV1
from tests.support.cluster import Node

NOW = datetime.now(UTC)
ENTRY = CallBegunV1(call_seq=7, delivery=1, writer="adapter", begun_at=NOW)
ORIGIN = OriginV1(
    request_id="r1", tenant="acme", kind="chat", route="default", lane="standard", metadata={}, request_seq=1, request_sha256="0",
    requested_at=NOW, deadline=NOW + timedelta(minutes=2),
)  # fmt: skip


@asynccontextmanager
async def lagging(folder: Path, *, expired: bool = False) -> AsyncIterator[tuple[Bus, list[str]]]:
    """A bus whose replicas deny every message, whose leader has ENTRY, and where every expected sequence 0 is refused. And what was asked.

    `expired`: ENTRY refuses one write and is gone when the leader is asked for it.
    """
    node = Node("alone", folder, "", jetstream=False)
    node.start([])
    asked: list[str] = []
    try:
        bus = Bus(f"nats://127.0.0.1:{node.port}")
        await bus.connect(timeout_s=10)
        scripted = Wire()
        await scripted.connect(bus.url)
        found = {"subject": "llm.v1.begun.acme.r1.1", "seq": 3, "time": NOW.isoformat().replace("+00:00", "Z"), "data": _base64(ENTRY.model_dump_json())}

        async def deny(message: Msg) -> None:
            asked.append("replica")
            scripted.send(message.reply, b"", headers=b"NATS/1.0 404 Message Not Found\r\n\r\n")

        async def have(message: Msg) -> None:
            asked.append("leader")
            none = {"error": {"code": 404, "err_code": 10037, "description": "no message found"}}
            await message.respond(json.dumps(none if expired else {"message": found}).encode())

        async def refuse(message: Msg) -> None:
            asked.append("write")
            if expired and asked.count("write") > 1:
                await message.respond(b'{"stream": "JOURNAL", "seq": 4}')
                return
            await message.respond(b'{"error": {"code": 400, "err_code": 10071, "description": "wrong last sequence: 3"}}')

        await scripted.subscribe("$JS.API.DIRECT.GET.>", cb=deny)
        await scripted.subscribe("$JS.API.STREAM.MSG.GET.>", cb=have)
        await scripted.subscribe("llm.v1.begun.>", cb=refuse)
        await scripted.flush()
        yield bus, asked
        await scripted.close()
        await bus.close()
    finally:
        if node.process is not None:
            end(node.process, 8)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def test_a_claim_that_was_refused_is_never_ours_whatever_a_replica_says(tmp_path: Path) -> None:
    async with lagging(tmp_path) as (bus, _):
        mine = CallBegunV1(call_seq=9, delivery=1, writer="adapter", begun_at=NOW)
        first = await asyncio.wait_for(claim(bus, ORIGIN, 1, mine), 10)
        assert first == ENTRY


async def test_a_claim_is_ours_only_when_it_is_written_not_when_the_one_before_it_has_expired(tmp_path: Path) -> None:
    async with lagging(tmp_path, expired=True) as (bus, asked):
        mine = CallBegunV1(call_seq=9, delivery=1, writer="adapter", begun_at=NOW)
        assert await asyncio.wait_for(claim(bus, ORIGIN, 1, mine), 10) is None
        assert asked.count("write") == 2


async def test_a_request_that_a_replica_does_not_know_is_asked_of_the_leader(tmp_path: Path) -> None:
    async with lagging(tmp_path) as (bus, asked):
        stored = await bus.get("REQUESTS", 3)
        assert stored is not None
        assert stored.seq == 3
        assert asked == ["replica", "leader"]


async def test_decisions_ask_the_leader_at_once(tmp_path: Path) -> None:
    async with lagging(tmp_path) as (bus, asked):
        assert await bus.last("RESULTS", "llm.v1.result.acme.r1") is not None
        assert asked == ["leader"]
        assert await bus.last("RESULTS", "llm.v1.result.acme.r1", any_replica=True) is None
