"""From one configured provider to a client that can ask it: protocol, address, credential."""

import re
from collections.abc import Callable, Mapping
from typing import TypedDict

import aiohttp

from bus.configuration import expand
from catalog.kinds import ProviderKind, kind_of
from contracts.config import ProviderV1
from observability.redaction import conceal_url

from .anthropic.wire import Messages
from .bedrock.signing import Signer
from .bedrock.wire import Converse
from .cohere.wire import Cohere
from .gemini.wire import google
from .google_tokens import tokens_of
from .ollama.wire import Ollama
from .openai.wire import OpenAI
from .openai_responses.wire import Responses
from .prompt_cache.step import cached
from .protocol import Client, WireProtocol
from .transport import Authorize, HttpClient, Post, Renew

WireFactory = Callable[[ProviderKind, str, Mapping[str, str]], WireProtocol]
WIRES: Mapping[str, WireFactory] = {
    "anthropic": Messages,
    "cohere": Cohere,
    "bedrock": Converse,
    "gemini": google,
    "ollama": Ollama,
    "openai": OpenAI,
    "openai_responses": Responses,
}
"""All protocols: pure conversion, called with the provider's kind, its id and its `options`."""


KEY_OF_CLOUD = {"google": "x-goog-api-key"}
"""Clouds that take a key in place of their tokens: Vertex AI's express mode."""


PLAIN_OPTIONS = frozenset({"api_version", "location", "profile", "project", "region", "resource"})
"""Options that may stand in messages; all others count as secrets."""


VERSION = re.compile(r"/v\d+[a-z]*\d*$")
"""The last segment of a base URL: v1, v1beta, v1beta1, v1alpha."""


class Misconfigured(ValueError):
    """A provider that cannot be asked as it is configured; says what to do."""


def _by_anthropic(session: aiohttp.ClientSession, base_url: str) -> Post:
    from .anthropic.sdk import poster

    return poster(session, base_url)


PosterFactory = Callable[[aiohttp.ClientSession, str], Post]
POSTERS: Mapping[str, PosterFactory] = {"anthropic": _by_anthropic}
"""SDKs that make the requests of the kinds whose settings name them, imported when the first such provider is configured; else aiohttp alone does."""


def client_of(provider: ProviderV1, session: aiohttp.ClientSession, environ: Mapping[str, str]) -> Client:
    """Raises Misconfigured, UnknownProviderType, MissingSecret."""
    kind = kind_of(provider.type)
    options = _options(provider, kind, environ)
    key = expand(provider.api_key, environ, secret=True).strip() if provider.api_key and kind.auth != "none" else ""
    own = {name: expand(value, environ, secret=True) for name, value in provider.headers.items()}
    base_url, poster = address(provider, kind, options, environ), POSTERS.get(kind.settings.get("sdk", ""))
    conceal_url(base_url)
    return HttpClient(
        session,
        base_url,
        cached(WIRES[kind.protocol](kind, provider.id, options), kind.protocol, provider, base_url),
        headers={**key_header(kind, key), **own},
        **credentials(provider, kind, options, key, environ),
        secrets=frozenset((key, *own.values(), *(value for name, value in options.items() if name not in PLAIN_OPTIONS))),
        first_token_s=provider.first_token_timeout_s,
        idle_s=provider.idle_timeout_s,
        embed_batch=kind.embed_batch,
        post_by=poster(session, base_url) if poster is not None else None,
        free_headers=kind.free_headers,
    )


def base_url_of(provider: ProviderV1, environ: Mapping[str, str]) -> str:
    """Where a provider is asked. Raises Misconfigured, UnknownProviderType, MissingSecret."""
    kind = kind_of(provider.type)
    return address(provider, kind, _options(provider, kind, environ), environ)


def _options(provider: ProviderV1, kind: ProviderKind, environ: Mapping[str, str]) -> dict[str, str]:
    options = {name: expand(value, environ, secret=name not in PLAIN_OPTIONS) for name, value in provider.options.items()}
    return {"region": _region(provider, environ), **options} if kind.auth == "aws" else options


class Credentials(TypedDict, total=False):
    """What HttpClient takes to prove who asks."""

    authorize: Authorize
    renew: Renew


def credentials(provider: ProviderV1, kind: ProviderKind, options: Mapping[str, str], key: str, environ: Mapping[str, str]) -> Credentials:
    """Where a key in a header is not enough: tokens and signatures of a cloud, unless a key or a header of one's own stands in for them."""
    if kind.auth not in CLOUDS or key or any(name.lower() == "authorization" for name in provider.headers):
        return {}
    try:
        return CLOUDS[kind.auth](provider, options, environ)
    except ImportError:
        raise Misconfigured(f"provider {provider.id!r} wants {EXTRAS[kind.auth]}, or give it an 'api_key'") from None


def _google(provider: ProviderV1, options: Mapping[str, str], environ: Mapping[str, str]) -> Credentials:
    if not provider.base_url and not options.get("project"):
        raise Misconfigured(f"provider {provider.id!r} needs 'options.project' in the configuration, or an 'api_key' for Vertex AI's express mode")
    tokens = tokens_of(options, environ, expand(provider.base_url, environ) if provider.base_url else None)
    return {"authorize": tokens.authorize, "renew": tokens.renew} if tokens is not None else {}


def _aws(provider: ProviderV1, options: Mapping[str, str], environ: Mapping[str, str]) -> Credentials:
    return {"authorize": Signer(options["region"], options, environ).authorize}


def _region(provider: ProviderV1, environ: Mapping[str, str]) -> str:
    """The environment's, as AWS's own tools take it; that of the address; any, where the address is somebody else's."""
    base_url = expand(provider.base_url, environ) if provider.base_url else ""
    named = re.search(r"//bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.", base_url)
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or (named[1] if named else "us-east-1" if base_url else "")
    if not region and "region" not in provider.options:
        raise Misconfigured(f"provider {provider.id!r} needs 'options.region' in the configuration, or AWS_REGION where the adapters run")
    return region


CLOUDS = {"google": _google, "aws": _aws}
EXTRAS = {"google": "google-auth: install headrace[google]", "aws": "botocore: install headrace[aws]"}


def address(provider: ProviderV1, kind: ProviderKind, options: Mapping[str, str], environ: Mapping[str, str]) -> str:
    """The base URL, with {names} taken from the provider's options; {host} is that of the location, as the kind's settings list them."""
    if provider.base_url:
        return versioned(expand(provider.base_url, environ), kind.settings.get("version"))
    hosts = kind.settings.get("hosts", {})
    host = hosts.get(options.get("location", "global"), hosts.get("other", "")).format_map(options)
    try:
        return kind.base_url.format_map({"host": host, **options})
    except KeyError as missing:
        raise Misconfigured(f"provider {provider.id!r} needs 'options.{missing.args[0]}' (or a 'base_url') in the configuration") from None


def versioned(base_url: str, version: str | None) -> str:
    """Google's own SDK wants the API's version apart from the base URL, so some leave it out: then it is the kind's."""
    bare = base_url.strip().rstrip("/")
    return base_url if version is None or VERSION.search(bare) else f"{bare}/{version}"


def key_header(kind: ProviderKind, key: str) -> dict[str, str]:
    """The header that carries the key; none without a key: a server on one's own machine wants none."""
    if not key or kind.auth == "none":
        return {}
    return {"Authorization": f"Bearer {key}"} if kind.auth in ("bearer", "aws") else {KEY_OF_CLOUD.get(kind.auth, kind.auth): key}
