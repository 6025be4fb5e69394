"""The bucket HEALTH: how each provider is, written by the adapters, followed by whoever chooses between providers."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

import nats.errors
import structlog
from pydantic import ValidationError

from bus.connection import Bus
from bus.errors import Unavailable
from contracts.health import ModelListingV1, ProviderHealthV1

STREAM = "KV_HEALTH"
PREFIX = "$KV.HEALTH."
POLL_S = 1.0

log = structlog.get_logger()


async def states(bus: Bus) -> dict[str, ProviderHealthV1]:
    """The last state of each provider, however old. Raises Unavailable, nats.errors.Error."""
    found: dict[str, ProviderHealthV1] = {}
    for stored in await bus.latest(STREAM, f"{PREFIX}*"):
        try:
            found[stored.subject.removeprefix(PREFIX)] = ProviderHealthV1.model_validate_json(stored.body)
        except ValidationError:
            log.warning("health_unreadable", subject=stored.subject, seq=stored.seq)
    return found


async def tell(bus: Bus, health: ProviderHealthV1) -> None:
    """Raises Unavailable."""
    await bus.publish(PREFIX + health.provider, health.model_dump_json().encode())


async def listing(bus: Bus, provider: str) -> ModelListingV1 | None:
    """What a provider listed last. Raises Unavailable."""
    stored = await bus.last(STREAM, f"{PREFIX}{provider}.models", any_replica=True)
    try:
        return None if stored is None or not stored.body else ModelListingV1.model_validate_json(stored.body)
    except ValidationError:
        log.warning("listing_unreadable", provider=provider)
        return None


async def keep_listing(bus: Bus, found: ModelListingV1) -> None:
    """Raises Unavailable, TooLarge."""
    await bus.publish(f"{PREFIX}{found.provider}.models", found.model_dump_json().encode())


def is_current(health: ProviderHealthV1, now: datetime) -> bool:
    """Whether a state still says something: one that nobody renewed does not."""
    return (now - health.checked_at).total_seconds() <= health.valid_s


class HealthSource:
    """Health as this process sees it: polled beside the work, never read for a decision."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.states: Mapping[str, ProviderHealthV1] = {}

    async def run(self) -> None:
        """Follow the bucket until cancelled. What cannot be read leaves the last state, which grows old."""
        while True:
            try:
                self.states = await states(self._bus)
            except (Unavailable, nats.errors.Error) as error:
                log.debug("health_unreachable", error=str(error))
            await asyncio.sleep(POLL_S)

    def ailing(self, provider: str) -> str | None:
        """Why a provider is better not asked now; None where nothing is known against it."""
        health = self.states.get(provider)
        if health is None or health.state != "unhealthy" or not is_current(health, datetime.now(UTC)):
            return None
        return health.why or "its checks fail"
