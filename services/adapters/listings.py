"""The models that providers list themselves: kept for five minutes, and longer while a provider is down."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import nats.errors
import structlog

from bus import health as bucket
from bus.connection import Bus
from bus.errors import TooLarge, Unavailable
from bus.handling import fault_of
from contracts.config import ProviderV1
from contracts.health import ModelListingV1
from observability.faults import in_a_line

from .endpoints import digest
from .listing import NoListing, page_of, page_path
from .providers import Providers, Unusable

log = structlog.get_logger()

FRESH_S = 300.0
LISTING_S = 10.0
"""How long all pages of a listing may take."""
MOST_PAGES = 50
UNKEPT = (Unavailable, TooLarge, nats.errors.Error)


@dataclass(frozen=True)
class Listed:
    """What a provider lists; `models` is None where nothing is known. `problem`: why it could not be asked now."""

    models: tuple[str, ...] | None
    listed_at: datetime | None = None
    problem: str | None = None

    def told(self, provider: str) -> Mapping[str, object]:
        """As an answer on the bus."""
        at = self.listed_at.isoformat() if self.listed_at else None
        stale = self.problem is not None and self.models is not None
        return {"provider": provider, "models": self.models, "listed_at": at, "stale": stale, "problem": self.problem}


class Listings:
    """Listings by way of the bucket HEALTH, so that all processes share them and a new one has what the last one knew."""

    def __init__(self, bus: Bus, providers: Providers) -> None:
        self._bus, self._providers = bus, providers
        self._asking: dict[str, asyncio.Lock] = {}

    async def of(self, provider: ProviderV1) -> Listed:
        """The kept listing while it is fresh, else a new one, else the kept one with the problem."""
        async with self._asking.setdefault(provider.id, asyncio.Lock()):
            kept = await self._kept(provider)
            if kept is not None and (datetime.now(UTC) - kept.listed_at).total_seconds() < FRESH_S:
                return Listed(kept.models, kept.listed_at)
            found = await ask(self._providers, provider.id)
            if found.models is None:
                return found if kept is None else Listed(kept.models, kept.listed_at, found.problem)
            await self._keep(provider, found.models)
            return found

    async def _kept(self, provider: ProviderV1) -> ModelListingV1 | None:
        try:
            kept = await bucket.listing(self._bus, provider.id)
        except UNKEPT as error:
            log.warning("listing_unread", provider=provider.id, error=str(error))
            return None
        return kept if kept is not None and kept.entry == digest(provider) else None

    async def _keep(self, provider: ProviderV1, models: tuple[str, ...]) -> None:
        try:
            await bucket.keep_listing(self._bus, ModelListingV1(provider=provider.id, entry=digest(provider), models=models, listed_at=datetime.now(UTC)))
        except UNKEPT as error:
            log.warning("listing_unkept", provider=provider.id, models=len(models), error=str(error))


async def ask(providers: Providers, provider: str) -> Listed:
    """Every page of a provider's listing, asked for now."""
    client, path = providers.client(provider), providers.endpoints(provider).models
    if isinstance(client, Unusable):
        return Listed(None, problem=client.why)
    if path is None:
        return Listed(None, problem="it has no listing that is free of charge")
    models: dict[str, None] = {}
    more = None
    ends_at = asyncio.get_running_loop().time() + LISTING_S
    for _ in range(MOST_PAGES):
        looked = await fault_of(client.look(page_path(path, more), timeout_s=ends_at - asyncio.get_running_loop().time(), read=True))
        if isinstance(looked, Exception):
            return Listed(None, problem=f"its listing broke: {in_a_line(looked)}")
        if looked.failure is not None:
            return Listed(None, problem=looked.failure.message if looked.status is None else f"HTTP {looked.status}: {looked.failure.message}")
        try:
            page = page_of(looked.body)
        except NoListing as error:
            return Listed(None, problem=str(error))
        before = len(models)
        models |= dict.fromkeys(page.models)
        more = page.more
        if more is None or len(models) == before:
            break
    return Listed(tuple(models), datetime.now(UTC))
