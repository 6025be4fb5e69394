"""From one configured provider to a client that can ask it: protocol, address, credential."""

from collections.abc import Callable, Mapping

import aiohttp

from bus.configuration import expand
from catalog.kinds import ProviderKind, kind_of
from contracts.config import ProviderV1

from .anthropic.wire import Messages
from .openai.wire import OpenAI
from .protocol import Client, WireProtocol
from .transport import HttpClient, Post

WireFactory = Callable[[ProviderKind, str, Mapping[str, str]], WireProtocol]
WIRES: Mapping[str, WireFactory] = {"anthropic": Messages, "openai": OpenAI}
"""All protocols: pure conversion, called with the provider's kind, its id and its `options`."""


class Misconfigured(ValueError):
    """A provider that cannot be asked as it is configured; says what to do."""


def _by_anthropic(session: aiohttp.ClientSession, base_url: str) -> Post:
    from .anthropic.sdk import poster

    return poster(session, base_url)


PosterFactory = Callable[[aiohttp.ClientSession, str], Post]
POSTERS: Mapping[str, PosterFactory] = {"anthropic": _by_anthropic}
"""Protocols whose requests are made by an SDK, imported when the first such provider is configured; all others by aiohttp alone."""


def client_of(provider: ProviderV1, session: aiohttp.ClientSession, environ: Mapping[str, str]) -> Client:
    """Raises Misconfigured, UnknownProviderType, MissingSecret."""
    kind = kind_of(provider.type)
    options = {name: expand(value, environ) for name, value in provider.options.items()}
    key = expand(provider.api_key, environ).strip() if provider.api_key and kind.auth != "none" else ""
    own = {name: expand(value, environ) for name, value in provider.headers.items()}
    base_url, poster = address(provider, kind, options, environ), POSTERS.get(kind.protocol)
    return HttpClient(
        session,
        base_url,
        WIRES[kind.protocol](kind, provider.id, options),
        headers={**key_header(kind, key), **own},
        secrets=frozenset((key, *own.values(), *options.values())),
        first_token_s=provider.first_token_timeout_s,
        idle_s=provider.idle_timeout_s,
        embed_batch=kind.embed_batch,
        post_by=poster(session, base_url) if poster is not None else None,
    )


def address(provider: ProviderV1, kind: ProviderKind, options: Mapping[str, str], environ: Mapping[str, str]) -> str:
    """The base URL, with {names} taken from the provider's options."""
    if provider.base_url:
        return expand(provider.base_url, environ)
    try:
        return kind.base_url.format_map(options)
    except KeyError as missing:
        raise Misconfigured(f"provider {provider.id!r} needs 'options.{missing.args[0]}' (or a 'base_url') in the configuration") from None


def key_header(kind: ProviderKind, key: str) -> dict[str, str]:
    """The header that carries the key; none without a key: a server on one's own machine wants none."""
    if not key or kind.auth in ("none", "aws", "google"):
        return {}
    return {"Authorization": f"Bearer {key}"} if kind.auth == "bearer" else {kind.auth: key}
