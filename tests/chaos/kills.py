"""Who is killed, when, and which calls were in flight just then."""

import asyncio
import random
from contextlib import suppress

import nats.errors
from nats.js.errors import APIError, NoStreamResponseError

from tests.support.client import Outsider
from tests.support.stack import SERVICES, Stack

DIALS = "adapters"


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
