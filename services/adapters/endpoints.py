"""What a provider answers free of charge, from the catalog and the provider's options."""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from bus.configuration import expand
from catalog.kinds import ProviderKind, kind_of
from contracts.config import ProviderV1

CLOUD_AUTH = ("aws", "google")


class Endpoints(NamedTuple):
    """Paths for `Client.look`; None: there is none."""

    health: str | None = None
    models: str | None = None


def endpoints_of(provider: ProviderV1, environ: Mapping[str, str]) -> Endpoints:
    """Raises UnknownProviderType, MissingSecret. An API key in place of a cloud's tokens is good for calls, but not known to be for listings."""
    kind = kind_of(provider.type)
    if kind.auth in CLOUD_AUTH and provider.api_key:
        return Endpoints()
    names = {**kind.settings.get("defaults", {}), **{name: expand(value, environ) for name, value in provider.options.items()}}
    models = kind.health_path if kind.models_path is None else kind.models_path
    return Endpoints(_placed(kind.health_path, names), _placed(models, names))


def _placed(path: str | None, names: Mapping[str, str]) -> str | None:
    return path.format_map(names) if path else None


def keyless(provider: ProviderV1, kind: ProviderKind) -> bool:
    """Whether a provider that wants a key was given none."""
    return kind.key_required and not provider.api_key and not any(name.lower() in ("authorization", kind.auth) for name in provider.headers)


def digest(provider: ProviderV1) -> str:
    """Of all that decides what a provider lists, secrets by their names."""
    told = provider.model_dump_json(include={"type", "base_url", "api_key", "headers", "options"})
    return hashlib.sha256(told.encode()).hexdigest()[:12]
