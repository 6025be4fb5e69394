"""What is true of the whole fleet is told by one process of it: queues, streams, providers' health, budgets."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import nats.errors
import structlog
from nats.js.api import StreamInfo
from nats.js.errors import APIError

from bus import health
from bus.backlog import Backlog, backlogs
from bus.connection import Bus
from bus.errors import Unavailable
from bus.lease import Lease
from bus.streams import BUCKETS, consumers, streams
from contracts.config import ConfigV1
from contracts.health import ProviderHealthV1
from observability import metrics
from observability.instruments import Gauge, Labels, Number

log = structlog.get_logger()

LOOK_S = 5.0
HOLD_S, ASK_S = 1.0, 2.0
"""How often the lease is held on to, since it lasts only some seconds, and asked for while another process holds it."""
ANSWER_S = 2.0
STALE_S = 30.0
"""What was found this long ago is not told any more: no figure is better than an old one."""
STATES = ("healthy", "degraded", "unhealthy")
STRAYS = "router-strays"
LOST = (Unavailable, nats.errors.Error, APIError, OSError)
Points = Mapping[Labels, Number]


@dataclass(frozen=True)
class Found:
    """What one look found, by gauge."""

    at: float
    points: Mapping[Gauge, Points]


class Reporter:
    """Looks while it holds the lease `metrics`; what another process holds is absent here."""

    def __init__(self, bus: Bus, config: Callable[[], ConfigV1 | None]) -> None:
        self._bus, self._config = bus, config
        self._lease = Lease(bus, "metrics", f"{socket.gethostname()}/{os.getpid()}")
        self._found = Found(0.0, {})
        self._reporting, self._lost = False, ""
        for gauge in GAUGES:
            gauge.source = partial(self.points, gauge)

    async def run(self) -> None:
        """Report until cancelled, then let another process go on at once."""
        if not metrics.recorded():
            return
        due = 0.0
        try:
            while True:
                holds = await self._holds()
                if holds and time.monotonic() >= due:
                    due = time.monotonic() + LOOK_S
                    await self._look()
                await asyncio.sleep(HOLD_S if holds else ASK_S)
        finally:
            self._found = Found(0.0, {})
            with contextlib.suppress(*LOST):
                await self._lease.release()

    async def _holds(self) -> bool:
        try:
            holds = await self._lease.hold()
        except LOST as error:
            self._tell_lost(error)
            holds = self._lease.left_s > 0
        if holds != self._reporting:
            self._reporting = holds
            log.info("reporting" if holds else "reporting_ended")
            if not holds:
                self._found = Found(0.0, {})
        return holds

    async def _look(self) -> None:
        config = self._config()
        if config is None:
            return
        try:
            waiting, infos, states = await asyncio.gather(
                backlogs(self._bus), self._bus.nc.jetstream(timeout=ANSWER_S).streams_info(), health.states(self._bus)
            )
        except LOST as error:
            self._tell_lost(error)
            return
        self._lost = ""
        now = datetime.now(UTC)
        found = queue_points(known_of(waiting, config, self._bus.subjects.root), now) | stream_points(infos, self._bus.subjects.root)
        self._found = Found(time.monotonic(), {**found, metrics.PROVIDER_HEALTH: health_points(config, states, now), metrics.BUDGET: budget_points(config)})

    def _tell_lost(self, error: Exception) -> None:
        """A bus that is away is told of once."""
        if repr(error) != self._lost:
            log.warning("reporting_waits", error=repr(error))
        self._lost = repr(error)

    def points(self, gauge: Gauge) -> Points:
        """What this process tells of a gauge now; nothing while another one holds the lease, or when it is old."""
        found = self._found
        fresh = self._lease.left_s > 0 and time.monotonic() - found.at < STALE_S
        return found.points.get(gauge, {}) if fresh else {}


GAUGES = (
    metrics.QUEUE_DEPTH,
    metrics.QUEUE_IN_FLIGHT,
    metrics.QUEUE_AGE,
    metrics.STREAM_MESSAGES,
    metrics.STREAM_BYTES,
    metrics.STREAM_BYTES_LIMIT,
    metrics.PROVIDER_HEALTH,
    metrics.BUDGET,
)


def known_of(waiting: Iterable[Backlog], config: ConfigV1, root: str) -> list[Backlog]:
    """The durables that Headrace declares or makes for a configured provider; what others made on its streams is left out."""
    declared, providers = consumers(root), {provider.id for provider in config.providers}
    return [one for one in waiting if one.durable in declared or one.durable == STRAYS or one.provider in providers]


def queue_points(waiting: Iterable[Backlog], now: datetime) -> dict[Gauge, Points]:
    """Depth, messages in flight and age of the oldest of each durable."""
    labelled = [((one.stream, one.durable, one.lane, one.provider), one) for one in waiting]
    return {
        metrics.QUEUE_DEPTH: {labels: one.waiting for labels, one in labelled},
        metrics.QUEUE_IN_FLIGHT: {labels: one.in_flight for labels, one in labelled},
        metrics.QUEUE_AGE: {labels: 0.0 if one.oldest_at is None else max(0.0, (now - one.oldest_at).total_seconds()) for labels, one in labelled},
    }


def stream_points(infos: Iterable[StreamInfo], root: str) -> dict[Gauge, Points]:
    """Sizes of the declared streams and buckets, and their limits where they have one."""
    declared = {*streams(root), *(str(bucket.name) for bucket in BUCKETS)}
    own = [info for info in infos if info.config.name in declared]
    return {
        metrics.STREAM_MESSAGES: {(info.config.name,): info.state.messages for info in own},
        metrics.STREAM_BYTES: {(info.config.name,): info.state.bytes for info in own},
        metrics.STREAM_BYTES_LIMIT: {(info.config.name,): info.config.max_bytes for info in own if info.config.max_bytes and info.config.max_bytes > 0},
    }


def health_points(config: ConfigV1, states: Mapping[str, ProviderHealthV1], now: datetime) -> Points:
    """1 for the state that each configured provider is in; 0 for all where nobody knows."""
    current = {name: state.state for name, state in states.items() if health.is_current(state, now)}
    return {(provider.id, state): int(current.get(provider.id) == state) for provider in config.providers for state in STATES}


def budget_points(config: ConfigV1) -> Points:
    """USD a day of each tenant that has a budget."""
    budgets = {name: tenant.budget_usd_per_day for name, tenant in (config.tenants or {}).items()}
    return {(name,): usd for name, usd in budgets.items() if usd is not None}
