"""Listings of models on a real server: kept for five minutes, served while the provider is down, never those of another entry."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bus.connection import Bus
from bus.health import keep_listing, listing
from bus.provision import provision
from bus.server import EmbeddedServer
from contracts.config import ConfigV1, ProviderV1
from contracts.health import ModelListingV1
from services.adapters.endpoints import digest
from services.adapters.listings import FRESH_S, Listings
from services.adapters.providers import Providers
from tests.support import canaries
from tests.support.provider import Provider
from tests.support.stack import configuration

OWN = ("small", "free", "embed", "unused")


@asynccontextmanager
async def served(folder: Path, **fields: Any) -> AsyncIterator[tuple[Bus, Providers, Provider, ProviderV1]]:
    server, provider, providers = (
        EmbeddedServer(folder / "nats", log=folder / "nats-server.log"),
        Provider(folder / "calls.jsonl"),
        Providers({"FAKE_PROVIDER_KEY": canaries.KEY}),
    )
    server.start()
    bus = Bus(server.url, name="test")
    try:
        await bus.connect(timeout_s=10)
        await provision(bus)
        await provider.start()
        await providers.start()
        config = ConfigV1.model_validate(configuration(provider.base_url))
        providers.take(config, 1)
        yield bus, providers, provider, config.providers[0]
    finally:
        await providers.close()
        await provider.stop()
        await bus.close()
        server.stop()


async def keep(bus: Bus, entry: ProviderV1, age_s: float, models: tuple[str, ...] = ("kept",)) -> None:
    at = datetime.now(UTC) - timedelta(seconds=age_s)
    await keep_listing(bus, ModelListingV1(provider=entry.id, entry=digest(entry), models=models, listed_at=at))


async def test_a_listing_is_asked_for_once_and_then_kept_for_five_minutes(tmp_path: Path) -> None:
    async with served(tmp_path) as (bus, providers, provider, entry):
        first, another = Listings(bus, providers), Listings(bus, providers)
        assert (await first.of(entry)).models == OWN
        assert (await another.of(entry)).models == OWN
        assert provider.looks == 1, "another process has it from the bucket"
        await keep(bus, entry, FRESH_S - 5)
        assert (await first.of(entry)).models == ("kept",)
        await keep(bus, entry, FRESH_S + 5)
        assert (await first.of(entry)).models == OWN
        kept = await listing(bus, entry.id)
        assert kept is not None
        assert kept.models == OWN


async def test_while_a_provider_is_down_its_last_listing_is_served_and_said_to_be_stale(tmp_path: Path) -> None:
    async with served(tmp_path) as (bus, providers, provider, entry):
        await provider.stop()
        unknown = await Listings(bus, providers).of(entry)
        assert unknown.models is None
        assert "cannot connect" in (unknown.problem or "")
        await keep(bus, entry, FRESH_S + 5)
        told = (await Listings(bus, providers).of(entry)).told(entry.id)
        assert (told["models"], told["stale"]) == (("kept",), True)


async def test_a_listing_of_another_entry_is_not_used(tmp_path: Path) -> None:
    async with served(tmp_path) as (bus, providers, _, entry):
        await keep(bus, entry.model_copy(update={"base_url": "http://elsewhere"}), 0)
        assert (await Listings(bus, providers).of(entry)).models == OWN
