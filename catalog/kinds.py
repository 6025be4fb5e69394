"""The known provider types of `providers.toml`, as values."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import Field, TypeAdapter

from contracts.base import Closed
from contracts.config import Capability
from contracts.content import Modality

Auth = Literal["bearer", "none", "x-api-key", "api-key", "x-goog-api-key", "x-portkey-api-key", "aws", "google"]


KEY_GOES = {"bearer": "Authorization: Bearer", "none": "none is sent", "aws": "AWS signature, or Authorization: Bearer", "google": "Google token"}
"""All others are the header's name."""


class ProviderKind(Closed):
    """One entry of `providers.toml`; the file's head says what each field means."""

    type: str
    protocol: str
    base_url: str
    auth: Auth = "bearer"
    key_required: bool = False
    health_path: str | None = None
    models_path: str | None = None
    free_headers: dict[str, str] = Field(default_factory=dict)
    prices: str | None = None
    free: bool = False
    capabilities: dict[Capability, bool] = Field(default_factory=dict)
    max_tokens_parameter: str = "max_tokens"
    reasoning_field: str | None = None
    media_urls: frozenset[Modality] = frozenset({"image"})
    stream_usage: bool = True
    embed_batch: int | None = Field(default=None, ge=1)
    settings: dict[str, Any] = Field(default_factory=dict)
    telemetry: str | None = None

    @property
    def telemetry_name(self) -> str:
        """`gen_ai.provider.name`: OpenTelemetry's word for it where it has one."""
        return self.telemetry or self.type

    @property
    def key_goes(self) -> str:
        """Where the credential goes, in words."""
        return KEY_GOES.get(self.auth, self.auth)


class UnknownProviderType(LookupError):
    """A provider type that no entry names."""


@cache
def kinds() -> Mapping[str, ProviderKind]:
    """All known provider types, read once."""
    entries = tomllib.loads(Path(__file__).with_name("providers.toml").read_text(encoding="utf-8"))
    named = {name: {"type": name, **entry} for name, entry in entries.items()}
    return MappingProxyType(TypeAdapter(dict[str, ProviderKind]).validate_python(named))


def kind_of(type_name: str) -> ProviderKind:
    """The provider type of this name; raises UnknownProviderType with the names there are."""
    try:
        return kinds()[type_name]
    except KeyError:
        raise UnknownProviderType(f"provider type {type_name!r} is not known; use one of {', '.join(sorted(kinds()))}") from None
