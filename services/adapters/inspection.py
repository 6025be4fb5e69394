"""What is wrong with a configured provider, as its free endpoints tell, and how to mend it."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from bus.handling import fault_of
from catalog.kinds import ProviderKind, UnknownProviderType, kind_of
from contracts.config import ProviderV1
from observability.faults import in_a_line

from .endpoints import keyless
from .listing import is_listed
from .listings import ask
from .protocol import Looked
from .providers import Providers, Unusable

CHECK_S = 10.0
NOT_FOUND = (404, 405)
REFUSED = (401, 403, 407)


async def inspect(providers: Providers, provider: ProviderV1) -> Mapping[str, Any]:
    """One provider: `ok`, or `problems`, a sentence each. `note`: what could not be checked."""
    began = time.monotonic()
    client, endpoints = providers.client(provider.id), providers.endpoints(provider.id)
    row: dict[str, Any] = {"provider": provider.id, "type": provider.type, "ok": False, "latency_s": None, "problems": [], "note": None}
    if isinstance(client, Unusable):
        return {**row, "problems": [client.why]}
    try:
        kind = kind_of(provider.type)
    except UnknownProviderType as error:
        return {**row, "problems": [str(error)]}
    if keyless(provider, kind):
        return {
            **row,
            "problems": [f"it has no key: set 'api_key: ${{{_variable(provider)}}}' in the configuration, and {_variable(provider)} where the adapters run"],
        }
    if endpoints.health is None:
        return {**row, "ok": True, "note": "not reached: it has no endpoint that is free of charge"}
    looked = await fault_of(client.look(endpoints.health, timeout_s=CHECK_S))
    row["latency_s"] = round(time.monotonic() - began, 3)
    if isinstance(looked, Exception):
        return {**row, "problems": [f"its check broke: {in_a_line(looked)}"]}
    if looked.failure is not None:
        return {**row, "problems": [advice(provider, kind, looked)]}
    problems, note = await _models(providers, provider)
    return {**row, "ok": not problems, "problems": problems, "note": note}


async def _models(providers: Providers, provider: ProviderV1) -> tuple[list[str], str | None]:
    """Configured models that the provider does not list."""
    if providers.endpoints(provider.id).models is None:
        return [], "it does not list which models it takes"
    listed = await ask(providers, provider.id)
    if not listed.models:
        return [], f"its models are not known: {listed.problem or 'it lists none'}"
    names = frozenset(listed.models)
    missing = [model.id for model in provider.models if not is_listed(model.id, names)]
    if not missing:
        return [], None
    return [f"model {name!r} is not in the provider's listing of {len(names)}: correct its id, or see 'headrace models --remote'" for name in missing], None


def advice(provider: ProviderV1, kind: ProviderKind, looked: Looked) -> str:
    """What a failed look means for whoever configured the provider."""
    failure = looked.failure
    said = "" if failure is None else failure.message
    if looked.status is None:
        return f"{said}: correct 'base_url', or start the server" if failure is not None and failure.usage_known_zero else said
    if looked.status in NOT_FOUND:
        return f"HTTP {looked.status}, nothing is there: {_path_hint(provider)}"
    if looked.status in REFUSED or (failure is not None and failure.type == "auth"):
        return f"the key is refused (HTTP {looked.status}: {said}): {_key_hint(provider, kind)}"
    return f"HTTP {looked.status}: {said}"


def _path_hint(provider: ProviderV1) -> str:
    if not provider.base_url:
        return "the provider has moved its listing"
    if provider.base_url.rstrip("/").endswith("/v1"):
        return f"correct 'base_url' {provider.base_url!r}; is '/v1' one too many?"
    return f"correct 'base_url' {provider.base_url!r}; does '/v1' lack at its end?"


def _key_hint(provider: ProviderV1, kind: ProviderKind) -> str:
    if provider.api_key:
        return f"set {provider.api_key[2:-1]} to one that holds, where the adapters run"
    if kind.auth in ("aws", "google"):
        return "its credentials need the right to list models"
    return f"set 'api_key: ${{{_variable(provider)}}}' in the configuration, and {_variable(provider)} where the adapters run"


def _variable(provider: ProviderV1) -> str:
    return f"{provider.id.upper().replace('-', '_')}_API_KEY"


async def inspect_all(providers: Providers, chosen: tuple[ProviderV1, ...]) -> list[Mapping[str, Any]]:
    """All at once, in the order of the configuration."""
    return list(await asyncio.gather(*(inspect(providers, provider) for provider in chosen)))
