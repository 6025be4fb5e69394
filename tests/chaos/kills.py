"""Who is killed, when, and which calls were in flight just then."""

import asyncio
import random
import time
from contextlib import suppress
from functools import partial

import nats.errors
from nats.js.api import StreamInfo
from nats.js.errors import APIError, NoStreamResponseError

from bus.streams import streams
from tests.support.client import Outsider
from tests.support.processes import eventually
from tests.support.stack import SERVICES, Stack

DIALS = "adapters"
STREAMS = tuple(streams())
LED = ("CALLS", "RESULTS", "ATTEMPTS", "JOURNAL", "REQUESTS")
TAKES_OVER_S, CATCHES_UP_S = 30.0, 60.0


def schedule(kills: int, each: int, replicas: int, seed: int) -> list[str]:
    """Names of replicas in random order, every service at least `each` times."""
    chance = random.Random(seed)
    services = [service for service in SERVICES for _ in range(each)]
    services += [chance.choice(SERVICES) for _ in range(kills - len(services))]
    chance.shuffle(services)
    return [f"{service}-{chance.randint(1, replicas)}" for service in services]


class Killer:
    """Kills and starts again at once; collects the ids of calls that were claimed and not finished around each kill.

    The kill of a service that does not dial may cost no call: its moment adds none to what may be lost.
    """

    def __init__(self, stack: Stack, outsider: Outsider, environment: dict[str, str] | None = None) -> None:
        self.stack, self.outsider, self.environment = stack, outsider, environment
        self.in_flight: set[str] = set()
        self.kills: dict[str, int] = {}
        self.took_over_s: list[float] = []
        self.whole_s: list[float] = []
        """Seconds from the kill of a leader to the next one, and until all three nodes had everything again."""

    async def services(self, names: list[str], every_s: float) -> None:
        """SIGKILL one replica after another. Calls claimed between the look and the kill count too: one looks again after it."""
        for name in names:
            await asyncio.sleep(every_s)
            finished, began = await self._finished(), await self._begun()
            self.stack.kill(name)
            self.stack.start(name, self.environment)
            service = name.rpartition("-")[0]
            self._count(service)
            if service == DIALS:
                self.in_flight |= (began | await self._begun()) - finished

    async def server(self, kills: int, every_s: float) -> None:
        """SIGKILL the server and start it on the same port and folder."""
        for _ in range(kills):
            await asyncio.sleep(every_s)
            finished, began = await self._finished(), await self._begun()
            self.stack.kill_server()
            self.in_flight |= (began | self.stack.open_calls()) - finished
            await self.stack.restart_server()
            self._count("nats-server")

    async def leaders(self, kills: int, every_s: float) -> None:
        """SIGKILL the node that leads a stream, one stream after another; start it again when another leads, and wait until it has caught up."""
        for number in range(kills):
            await asyncio.sleep(every_s)
            stream = LED[number % len(LED)]
            finished, began = await self._finished(), await self._begun()
            node = await self._leader(stream)
            self.stack.cluster_of().nodes[node].kill()
            killed_at = time.monotonic()
            self.in_flight |= (began | self.stack.open_calls()) - finished
            await eventually(partial(self._replaced, stream, node), TAKES_OVER_S, 0.1, what=f"another leader of {stream} than {node}")
            self.took_over_s.append(round(time.monotonic() - killed_at, 2))
            self.stack.cluster_of().start_node(node)
            await eventually(self._whole, CATCHES_UP_S, 0.2, what=f"{node} caught up")
            self.whole_s.append(round(time.monotonic() - killed_at, 2))
            self._count(f"{stream} leader")

    async def _leader(self, stream: str) -> str:
        return str(await eventually(lambda: self._led_by(stream), TAKES_OVER_S, 0.1, what=f"a leader of {stream}"))

    async def _led_by(self, stream: str) -> str | None:
        info = await self._info(stream)
        return info.cluster.leader if info and info.cluster else None

    async def _replaced(self, stream: str, node: str) -> bool:
        return (await self._led_by(stream)) not in (None, "", node)

    async def _whole(self) -> bool:
        """Whether every stream has a leader, and replicas that are there and have all of it."""
        for stream in STREAMS:
            info = await self._info(stream)
            if info is None or info.cluster is None or not info.cluster.leader:
                return False
            replicas = info.cluster.replicas or []
            if len(replicas) != 2 or any(peer.offline or not peer.current for peer in replicas):
                return False
        return await asyncio.to_thread(lambda: all(node.healthy for node in self.stack.cluster_of().nodes.values()))

    async def _info(self, stream: str) -> StreamInfo | None:
        """None while nobody answers for the stream."""
        with suppress(nats.errors.Error, NoStreamResponseError, APIError, TimeoutError, OSError):
            return await self.outsider.nc.jetstream(timeout=2).stream_info(stream)
        return None

    def _count(self, what: str) -> None:
        self.kills[what] = self.kills.get(what, 0) + 1

    async def _begun(self) -> set[str]:
        """Call ids with a journal entry."""
        return {"/".join(subject.split(".")[-3:]) for subject in await self._subjects("JOURNAL", "llm.v1.begun.>")}

    async def _finished(self) -> set[str]:
        """Call ids with an attempt."""
        return {"/".join(subject.split(".")[-3:]) for subject in await self._subjects("ATTEMPTS", "llm.v1.attempt.>")}

    async def _subjects(self, stream: str, pattern: str) -> set[str]:
        while True:
            with suppress(nats.errors.Error, NoStreamResponseError, APIError, TimeoutError, OSError):
                return set(await self.outsider.subjects(stream, pattern))
            await asyncio.sleep(0.1)
