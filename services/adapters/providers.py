"""Configured providers, ready to be asked: a client each, made anew when the configuration changes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import aiohttp
import structlog

from bus.configuration import MissingSecret
from catalog.kinds import UnknownProviderType
from catalog.models import Catalog, Offer
from contracts.config import ConfigV1, ProviderV1

from .clients import Misconfigured, client_of
from .endpoints import Endpoints, endpoints_of
from .protocol import Client

log = structlog.get_logger()

MakeClient = Callable[[ProviderV1, aiohttp.ClientSession, Mapping[str, str]], Client]
"""Raises Misconfigured, UnknownProviderType, MissingSecret."""


@dataclass(frozen=True)
class Unusable:
    """A provider that cannot be asked here, and what to do about it."""

    why: str


class Providers:
    """The clients of one configuration. Replaced as a whole; calls in flight keep the client they began with."""

    def __init__(self, environ: Mapping[str, str], make: MakeClient = client_of) -> None:
        self._environ, self._make = environ, make
        self._session: aiohttp.ClientSession | None = None
        self._clients: dict[str, Client | Unusable] = {}
        self._endpoints: dict[str, Endpoints] = {}
        self._catalog: Catalog | None = None

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60), auto_decompress=True, cookie_jar=aiohttp.DummyCookieJar()
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def take(self, config: ConfigV1, revision: int) -> None:
        """Take a new configuration."""
        self._catalog = Catalog(config, revision=revision)
        self._endpoints = {provider.id: self._free(provider) for provider in config.providers}
        self._clients = {provider.id: self._client(provider) for provider in config.providers}

    def client(self, provider: str) -> Client | Unusable:
        return self._clients.get(provider, Unusable(f"provider {provider!r} is not configured here"))

    def endpoints(self, provider: str) -> Endpoints:
        """What the provider answers free of charge."""
        return self._endpoints.get(provider, Endpoints())

    def offer(self, provider: str, model: str) -> Offer | None:
        return self._catalog.find(provider, model) if self._catalog else None

    def _free(self, provider: ProviderV1) -> Endpoints:
        try:
            return endpoints_of(provider, self._environ)
        except (UnknownProviderType, MissingSecret, KeyError):
            return Endpoints()  # its client says what is wrong

    def _client(self, provider: ProviderV1) -> Client | Unusable:
        if self._session is None:
            raise RuntimeError("providers are not started")
        try:
            return self._make(provider, self._session, self._environ)
        except (UnknownProviderType, MissingSecret, Misconfigured) as error:
            log.error("provider_unusable", provider=provider.id, why=str(error))
            return Unusable(str(error))
