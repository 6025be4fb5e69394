"""Configured providers, ready to be asked: a client each, made anew when the configuration changes."""

from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
import structlog

from bus.configuration import MissingSecret, expand
from catalog.models import Catalog, Offer
from contracts.config import ConfigV1, ProviderV1
from services.adapters.openai.client import OpenAIClient
from services.adapters.registry import UnknownProviderType, kind_of

log = structlog.get_logger()

PROTOCOLS = {"openai": OpenAIClient}


@dataclass(frozen=True)
class Unusable:
    """A provider that cannot be asked here, and what to do about it."""

    why: str


class Providers:
    """The clients of one configuration. Replaced as a whole; calls in flight keep the client they began with."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._session: aiohttp.ClientSession | None = None
        self._clients: dict[str, OpenAIClient | Unusable] = {}
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
        self._clients = {provider.id: self._client(provider) for provider in config.providers}

    def client(self, provider: str) -> OpenAIClient | Unusable:
        return self._clients.get(provider, Unusable(f"provider {provider!r} is not configured here"))

    def offer(self, provider: str, model: str) -> Offer | None:
        return self._catalog.find(provider, model) if self._catalog else None

    def _client(self, provider: ProviderV1) -> OpenAIClient | Unusable:
        if self._session is None:
            raise RuntimeError("providers are not started")
        try:
            kind = kind_of(provider.type)
            key = expand(provider.api_key, self._environ) if provider.api_key else None
            headers = {name: expand(value, self._environ) for name, value in provider.headers.items()}
            base_url = expand(provider.base_url or kind.base_url, self._environ)
        except (UnknownProviderType, MissingSecret) as error:
            log.error("provider_unusable", provider=provider.id, why=str(error))
            return Unusable(str(error))
        return PROTOCOLS[kind.protocol](self._session, base_url, key, headers, kind, provider_id=provider.id)
