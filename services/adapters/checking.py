"""Checks every provider's free endpoint again and again, one process of the fleet at a time, and writes what it finds to the bucket HEALTH."""

import asyncio
import contextlib
import os
import random
import socket
import time
from datetime import UTC, datetime
from typing import Literal

import nats.errors
import structlog

from bus import health as bucket
from bus.application import Application
from bus.errors import Unavailable
from bus.handling import fault_of
from bus.lease import Lease
from bus.notices import notify
from contracts.config import ProviderV1
from contracts.health import HealthState, ProviderHealthV1
from observability.faults import in_a_line

from .health import Finding, Standing, after, finding, limit_s, pause_s
from .providers import Providers, Unusable
from .settings import AdapterSettings

log = structlog.get_logger()

VALID_INTERVALS = 3
LOOK_S = 1.0
SEVERITY: dict[HealthState, Literal["info", "warning", "error"]] = {"healthy": "info", "degraded": "warning", "unhealthy": "error"}
LOST = (Unavailable, nats.errors.Error, OSError)


class Checker:
    """Holds the lease `health` and checks what is due. What it knows is in the bucket, so that any process may go on."""

    def __init__(self, app: Application, providers: Providers, settings: AdapterSettings) -> None:
        self._bus, self._app, self._providers = app.bus, app, providers
        self._interval_s = settings.health_interval_s
        self._lease = Lease(app.bus, "health", f"{socket.gethostname()}/{os.getpid()}")
        self._checking = False
        self._entries: dict[str, ProviderV1] = {}
        self._standing: dict[str, Standing] = {}
        self._due: dict[str, float] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._lost = ""
        """What was said last of a bus that is away: it is said once."""

    async def run(self) -> None:
        """Check until cancelled, then let another process go on at once."""
        if not self._interval_s:
            return
        try:
            while True:
                if await self._holds():
                    self._begin_due()
                await asyncio.sleep(min(LOOK_S, self._interval_s / 10))
        finally:
            await self._leave()
            with contextlib.suppress(*LOST):
                await self._lease.release()

    async def _holds(self) -> bool:
        try:
            holds = await self._lease.hold()
            if holds and not self._checking:
                self._take_up(await bucket.states(self._bus))
            self._lost = ""
        except LOST as error:
            if str(error) != self._lost:
                log.warning("health_waits", error=str(error), remedy="where the stream KV_HEALTH is missing: headrace doctor --apply")
            self._lost = str(error)
            holds = self._checking and self._lease.left_s > 0
        if holds != self._checking:
            self._checking = holds
            log.info("checking" if holds else "checking_ended")
            if not holds:
                await self._leave()
        return holds

    def _take_up(self, known: dict[str, ProviderHealthV1]) -> None:
        """Go on where another process ended, however long ago: its states count, its times do not."""
        self._standing = {name: Standing(health.state, health.failures, health.why, health.failure) for name, health in known.items()}
        self._entries, self._due = {provider.id: provider for provider in self._configured()}, {}

    async def _leave(self) -> None:
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        self._running.clear()

    def _configured(self) -> tuple[ProviderV1, ...]:
        config = self._app.config.current
        return config.providers if config is not None else ()

    def _begin_due(self) -> None:
        """Start the checks that are due; a provider whose entry changed is due, and nothing is known of it."""
        for task in [task for task in self._running.values() if task.done()]:
            task.result()  # a fault of our own ends this process, as that of any background work
        self._running = {name: task for name, task in self._running.items() if not task.done()}
        now = time.monotonic()
        for provider in self._configured():
            if self._entries.get(provider.id) != provider:
                self._entries[provider.id] = provider
                self._standing.pop(provider.id, None)
                self._due.pop(provider.id, None)
            if provider.id not in self._running and self._due.get(provider.id, now) <= now and self._providers.endpoints(provider.id).health:
                self._running[provider.id] = asyncio.create_task(self._check(provider))

    async def _check(self, provider: ProviderV1) -> None:
        """One check, written down. A bus that is away loses one state, and readers forget the last one in time."""
        began = time.monotonic()
        found = await self._look(provider.id)
        before = self._standing.get(provider.id)
        stands = after(before, found)
        if self._entries.get(provider.id) != provider or self._lease.left_s <= 0:
            return
        self._due[provider.id] = began + pause_s(stands, self._interval_s, random.uniform(-1, 1))
        self._standing[provider.id] = stands
        try:
            await bucket.tell(self._bus, self._health(provider.id, stands, time.monotonic() - began))
            if stands.state != (before.state if before is not None else "healthy"):
                await self._notice(provider.id, before, stands)
        except LOST as error:
            log.warning("health_untold", provider=provider.id, state=stands.state, error=str(error))

    async def _look(self, provider: str) -> Finding:
        client, path = self._providers.client(provider), self._providers.endpoints(provider).health
        if isinstance(client, Unusable):
            return Finding("refused", client.why, "auth")
        if path is None:
            return Finding("ok")
        looked = await fault_of(client.look(path, timeout_s=limit_s(self._interval_s)))
        return Finding("failed", f"its check broke: {in_a_line(looked)}") if isinstance(looked, Exception) else finding(looked)

    def _health(self, provider: str, stands: Standing, took_s: float) -> ProviderHealthV1:
        return ProviderHealthV1(
            provider=provider,
            state=stands.state,
            failures=stands.failures,
            failure=stands.failure,
            why=stands.why,
            latency_s=round(took_s, 6),
            checked_at=datetime.now(UTC),
            valid_s=self._interval_s * VALID_INTERVALS,
        )

    async def _notice(self, provider: str, before: Standing | None, stands: Standing) -> None:
        was = before.state if before is not None else "unknown"
        message = f"provider {provider!r} is {stands.state}" + (f": {stands.why}" if stands.why else f", it was {was}")
        facts = {"provider": provider, "state": stands.state, "was": was, "failure": stands.failure}
        await notify(self._bus, SEVERITY[stands.state], "provider_health", "adapters", message, **facts)
