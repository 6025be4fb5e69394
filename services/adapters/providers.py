"""Configured providers, ready to be asked: a client each, made anew when the configuration changes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import aiohttp
import structlog
from yarl import URL

from bus.configuration import MissingSecret
from bus.credentials import doubtful
from catalog.kinds import UnknownProviderType, kind_of
from catalog.models import Catalog, Offer
from contracts.config import ConfigV1, ProviderV1
from observability.tracing import Fact

from .clients import Misconfigured, base_url_of, client_of
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
        self._servers: dict[str, dict[str, Fact]] = {}
        self._capturing: frozenset[str] = frozenset()
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
        self._servers = {provider.id: self._server(provider) for provider in config.providers}
        self._capturing = frozenset(name for name, tenant in (config.tenants or {}).items() if tenant.capture_content)
        self._clients = {provider.id: self._client(provider) for provider in config.providers}

    def client(self, provider: str) -> Client | Unusable:
        return self._clients.get(provider, Unusable(f"provider {provider!r} is not configured here"))

    def endpoints(self, provider: str) -> Endpoints:
        """What the provider answers free of charge."""
        return self._endpoints.get(provider, Endpoints())

    def server(self, provider: str) -> Mapping[str, Fact]:
        """A provider's name and address, as spans say them."""
        return self._servers.get(provider, {"gen_ai.provider.name": provider})

    def vendor(self, provider: str) -> str:
        """OpenTelemetry's word for who answers."""
        return str(self.server(provider)["gen_ai.provider.name"])

    def captures(self, tenant: str) -> bool:
        """Whether what this tenant says and hears may stand in spans."""
        return tenant in self._capturing

    def offer(self, provider: str, model: str) -> Offer | None:
        return self._catalog.find(provider, model) if self._catalog else None

    def _free(self, provider: ProviderV1) -> Endpoints:
        try:
            return endpoints_of(provider, self._environ)
        except (UnknownProviderType, MissingSecret, KeyError):
            return Endpoints()  # its client says what is wrong

    def _server(self, provider: ProviderV1) -> dict[str, Fact]:
        """Host and port alone: an address may hold a password."""
        try:
            kind = kind_of(provider.type)
            url = URL(base_url_of(provider, self._environ))
        except (UnknownProviderType, MissingSecret, Misconfigured, ValueError):
            return {"gen_ai.provider.name": provider.type}  # its client says what is wrong
        place: dict[str, Fact] = {"server.address": url.host, "server.port": url.port} if url.host and url.port else {}
        return {"gen_ai.provider.name": kind.telemetry_name, **place}

    def _client(self, provider: ProviderV1) -> Client | Unusable:
        if self._session is None:
            raise RuntimeError("providers are not started")
        for why in doubtful(provider, self._environ):
            log.warning("secret_doubtful", provider=provider.id, why=why)
        try:
            return self._make(provider, self._session, self._environ)
        except (UnknownProviderType, MissingSecret, Misconfigured) as error:
            log.error("provider_unusable", provider=provider.id, why=str(error))
            return Unusable(str(error))
