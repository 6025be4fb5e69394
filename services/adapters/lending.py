"""Brings the lanes' limits to what they should be: one process of the fleet at a time, and never above the sum (delivery rule 8)."""

import asyncio
import contextlib
import os
import socket

import nats.errors
import structlog

from bus.application import Application
from bus.errors import Unavailable
from bus.lease import Lease
from bus.limits import Holding, holding, limit
from contracts.config import ProviderV1
from services.adapters.lanes import all_durables, durable, shares
from services.adapters.shares import Load, Memory, growing, shrinking, targets

log = structlog.get_logger()

LOOK_S = 0.25
QUIET_LOOK_S = 1.0
"""While every lane has its own share, and while another process lends."""
LOST = (Unavailable, nats.errors.Error, OSError)


class Lender:
    """Looks at the lanes' consumers while it holds the lease. The limits on the server are all its state, so that any process may go on."""

    def __init__(self, app: Application) -> None:
        self._bus, self._app = app.bus, app
        self._lease = Lease(app.bus, "lending", f"{socket.gethostname()}/{os.getpid()}")
        self._memories: dict[str, Memory] = {}
        self._lending = False
        self._doubtful: set[str] = set()
        """Durables whose last change was not answered: it may still come into force."""

    async def run(self) -> None:
        """Lend until cancelled, then let another process go on at once."""
        try:
            while True:
                quiet = await self._look()
                await asyncio.sleep(QUIET_LOOK_S if quiet else LOOK_S)
        finally:
            with contextlib.suppress(*LOST):
                await self._lease.release()

    async def _look(self) -> bool:
        """Whether there is nothing to hurry for. What fails is tried again."""
        config = self._app.config.current
        if config is None or not await self._holds():
            self._memories.clear()
            return True
        quiet = True
        for provider in config.providers:
            try:
                quiet &= await self._settle(provider)
            except LOST as error:
                log.warning("lending_waits", provider=provider.id, error=str(error))
        return quiet

    async def _holds(self) -> bool:
        try:
            holds = await self._lease.hold()
        except LOST as error:
            log.warning("lending_waits", error=str(error))
            holds = self._lease.left_s > 0
        if holds != self._lending:
            self._lending = holds
            log.info("lending" if holds else "lending_ended")
        return holds

    async def _settle(self, provider: ProviderV1) -> bool:
        """Shrink first, then grow by what is free once the smaller limits hold; False: a lane has not its own share."""
        own = shares(provider)
        found = await self._certain(provider)
        loads = _loads(found)
        memory = self._memories.setdefault(provider.id, Memory())
        wanted = targets(own, memory.peaks(asyncio.get_running_loop().time(), {lane: load.demand for lane, load in loads.items() if lane in own}))
        fewer = shrinking(loads, wanted)
        if fewer:
            await self._change(provider, found, fewer)
            found = await self._holdings(provider)
        more = growing(provider.max_in_flight, _loads(found), wanted, own)
        if more and self._lease.left_s > 0:
            await self._change(provider, found, more)
            if self._lease.left_s <= 0:
                await self._undo(provider, found, more)
        return not fewer and not more and {lane: held.limit for lane, held in found.items()} == own

    async def _certain(self, provider: ProviderV1) -> dict[str, Holding]:
        """The lanes' consumers, none of them in doubt: a change that is answered comes after all earlier ones."""
        found = await self._holdings(provider)
        doubtful = {lane: held.limit for lane, held in found.items() if durable(provider.id, lane) in self._doubtful}
        if not doubtful:
            return found
        await self._change(provider, found, doubtful)
        return await self._holdings(provider)

    async def _undo(self, provider: ProviderV1, found: dict[str, Holding], grown: dict[str, int]) -> None:
        """The lease passed while a limit grew, so another process may have given that room away: give it back."""
        log.warning("lease_lost_while_lending", provider=provider.id, lanes=sorted(grown))
        await self._change(provider, found, dict.fromkeys(grown, 1))

    async def _holdings(self, provider: ProviderV1) -> dict[str, Holding]:
        """By lane, of every durable that the provider may have; those of another grouping count until they are gone."""
        names = all_durables(provider.id)
        found = await asyncio.gather(*(holding(self._bus, "CALLS", name) for name in names))
        return {name.rpartition("-")[2]: held for name, held in zip(names, found, strict=True) if held is not None}

    async def _change(self, provider: ProviderV1, found: dict[str, Holding], limits: dict[str, int]) -> None:
        for lane, most in limits.items():
            name = durable(provider.id, lane)
            self._doubtful.add(name)
            await limit(self._bus, "CALLS", name, found[lane], most)
            self._doubtful.discard(name)
        log.info("lanes_changed", provider=provider.id, **limits)


def _loads(found: dict[str, Holding]) -> dict[str, Load]:
    return {lane: Load(held.limit, held.num_ack_pending, held.num_pending) for lane, held in found.items()}
