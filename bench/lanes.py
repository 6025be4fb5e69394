"""An interactive request behind a bulk backlog against one on an empty bus."""

import asyncio
import json
import statistics
import time
from typing import Any, Self

from nats.aio.msg import Msg

from bus.connection import Bus

SAMPLES = 60
PUBLISHED_AT_ONCE = 500
TEXT = "The quick brown fox jumps over the lazy dog. " * 15


class Asker:
    """A producer and consumer of tenant `acme` that waits for each result without polling."""

    def __init__(self, url: str) -> None:
        self.bus = Bus(url, name="bench")
        self.results = 0
        self._waiting: dict[str, asyncio.Future[None]] = {}

    async def __aenter__(self) -> Self:
        await self.bus.connect(timeout_s=10)
        await self.bus.nc.subscribe(self.bus.subjects.result("acme", "*"), cb=self._hear, pending_msgs_limit=-1, pending_bytes_limit=-1)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.bus.close()

    async def publish(self, request_id: str, lane: str) -> None:
        body = {"id": request_id, "messages": [{"role": "user", "content": TEXT}]}
        await self.bus.publish(self.bus.subjects.request("acme", "chat", lane), json.dumps(body).encode())

    async def latency_s(self, request_id: str, lane: str) -> float:
        """Seconds from publishing a request to hearing its result."""
        heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = heard
        began = time.perf_counter()
        await self.publish(request_id, lane)
        await asyncio.wait_for(heard, 60)
        return time.perf_counter() - began

    async def median_ms(self, name: str, samples: int = SAMPLES) -> float:
        return statistics.median([await self.latency_s(f"{name}-{number}", "interactive") for number in range(samples)]) * 1000

    async def _hear(self, message: Msg) -> None:
        self.results += 1
        heard = self._waiting.pop(message.subject.rpartition(".")[2], None)
        if heard is not None and not heard.done():
            heard.set_result(None)


async def lanes(url: str, backlog: int) -> dict[str, Any]:
    """Median latencies in milliseconds, empty and behind `backlog` bulk requests, and their ratio."""
    async with Asker(url) as asker:
        await asker.median_ms("warm", 20)
        empty_ms = await asker.median_ms("empty")
        for begin in range(0, backlog, PUBLISHED_AT_ONCE):
            await asyncio.gather(*(asker.publish(f"bulk-{number}", "bulk") for number in range(begin, min(begin + PUBLISHED_AT_ONCE, backlog))))
        answered = asker.results
        behind_ms = await asker.median_ms("behind")
        waiting = backlog - (asker.results - 20 - 2 * SAMPLES)
    return {
        "backlog": backlog,
        "answered_before_sampling": answered,
        "still_waiting": waiting,
        "empty_p50_ms": round(empty_ms, 2),
        "behind_p50_ms": round(behind_ms, 2),
        "lanes_ratio": round(behind_ms / empty_ms, 2),
    }
