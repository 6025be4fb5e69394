"""The floor's client: JetStream over nats-py with the least that a durable hop needs, and nothing that Headrace promises beside."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg

EXPIRES_NS, HEARTBEAT_NS = 30_000_000_000, 5_000_000_000
BATCH = 256


class LeanPublisher:
    """Publishes and awaits the ack: one inbox, one future a publish."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._prefix = nc.new_inbox() + "."
        self._waiting: dict[str, asyncio.Future[bytes]] = {}
        self._count = 0

    async def start(self) -> None:
        await self._nc.subscribe(self._prefix + "*", cb=self._hear, pending_msgs_limit=-1, pending_bytes_limit=-1)

    async def publish(self, subject: str, body: bytes, headers: dict[str, str]) -> None:
        self._count += 1
        reply = self._prefix + str(self._count)
        self._waiting[reply] = acked = asyncio.get_running_loop().create_future()
        await self._nc.publish(subject, body, reply=reply, headers=headers)
        answer = await acked
        if b'"error"' in answer:
            raise RuntimeError(answer.decode())

    async def _hear(self, message: Msg) -> None:
        waiting = self._waiting.pop(message.subject, None)
        if waiting is not None:
            waiting.set_result(message.data)


class LeanConsumer:
    """Pulls from a durable without pause and gives each message to `take`."""

    def __init__(self, nc: Client, stream: str, durable: str, take: Callable[[Msg], Awaitable[Any]]) -> None:
        self._nc, self._take = nc, take
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._inbox = nc.new_inbox()
        self._left = 0

    async def start(self) -> None:
        await self._nc.subscribe(self._inbox, cb=self._hear, pending_msgs_limit=-1, pending_bytes_limit=-1)
        await self._ask()

    async def _ask(self) -> None:
        wanted, self._left = BATCH - self._left, BATCH
        await self._nc.publish(self._next, b'{"batch":%d,"expires":%d,"idle_heartbeat":%d}' % (wanted, EXPIRES_NS, HEARTBEAT_NS), reply=self._inbox)

    async def _hear(self, message: Msg) -> None:
        if not message.reply.startswith("$JS.ACK"):
            if message.headers and message.headers.get("Status") in ("404", "408"):
                self._left = 0
                await self._ask()
            return
        self._left -= 1
        if self._left * 2 <= BATCH:
            await self._ask()
        await self._take(message)
