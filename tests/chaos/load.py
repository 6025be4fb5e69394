"""Requests without end: enough in flight at every moment, one in ten published twice."""

import asyncio
import json
import random
import time

import nats.errors
from nats.js.errors import APIError, NoStreamResponseError

from tests.support.client import Outsider
from tests.support.stack import Stack

YOUNG_S = 2.0
"""What waits longer than this hangs on a kill: it is not counted as load."""
PUBLISH_TIMEOUT_S = 5.0


class Load:
    """Keeps `in_flight` young requests open until it is told to stop and `fewest` are published."""

    def __init__(self, stack: Stack, outsider: Outsider, fewest: int, in_flight: int, seed: int) -> None:
        self.stack, self.outsider, self.fewest, self.in_flight = stack, outsider, fewest, in_flight
        self.random = random.Random(seed)
        self.published: dict[str, float] = {}
        self.twice = 0
        self.stopping = asyncio.Event()
        self._repeats: set[asyncio.Task[None]] = set()

    @property
    def count(self) -> int:
        return len(self.published)

    def unanswered(self) -> list[str]:
        return [request_id for request_id in self.published if f"chaos/{request_id}" not in self.outsider.heard]

    async def run(self) -> None:
        workers = [self._publisher(number) for number in range(8)]
        await asyncio.gather(*workers)
        await asyncio.gather(*self._repeats)

    async def _publisher(self, worker: int) -> None:
        number = 0
        while not self.stopping.is_set() or self.count < self.fewest:
            if self._young() >= self.in_flight:
                await asyncio.sleep(0.005)
                continue
            number += 1
            request_id = f"r{worker}-{number}"
            self.published[request_id] = time.monotonic()
            await self._publish(request_id)
            if self.count % 10 == 0:
                self.twice += 1
                self._repeats.add(asyncio.create_task(self._again(request_id)))

    def _young(self) -> int:
        since = time.monotonic() - YOUNG_S
        open_ones = 0
        for request_id, at in reversed(self.published.items()):
            if at < since:
                break
            open_ones += f"chaos/{request_id}" not in self.outsider.heard
        return open_ones

    async def _again(self, request_id: str) -> None:
        await asyncio.sleep(self.random.choice([0.0, 0.1, 0.4, 2.0, 10.0]))
        await self._publish(request_id)

    async def _publish(self, request_id: str) -> None:
        """Until the bus has it: a producer that got no ack publishes the same id again."""
        body = json.dumps({"id": request_id, "messages": [{"role": "user", "content": f"Say {request_id}"}]}).encode()
        while True:
            try:
                await self.outsider.js.publish("llm.v1.request.chaos.chat.standard", body, timeout=PUBLISH_TIMEOUT_S)
                return
            except (nats.errors.Error, NoStreamResponseError, APIError, TimeoutError, OSError):
                await asyncio.sleep(0.1)
