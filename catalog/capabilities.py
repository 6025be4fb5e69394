"""What providers can do beyond answering one request: the dated facts of `capabilities.toml`, as values."""

import re
import tomllib
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import Field

from catalog.kinds import kinds
from contracts.base import Closed

Marker = Literal["explicit", "automatic", "none"]
Place = Literal["tools", "system", "messages"]
UNKNOWN_MINIMUM = 1024
"""Tokens. A marker on a shorter prefix does no harm: it is not looked at."""
NAME = re.compile(r"\{\w+\}")
LOCAL = ("http://127.0.0.1", "{")
"""Addresses that name nobody."""


class Caching(Closed):
    """How prompt prefixes are cached; the head of `capabilities.toml` says what each field means."""

    marker: Marker = "none"
    ttls: tuple[str, ...] = ()
    default_ttl: str | None = None
    minimum_tokens: int = UNKNOWN_MINIMUM
    max_breakpoints: int = 0
    places: frozenset[Place] = frozenset()
    read_price: Decimal | None = None
    write_price: dict[str, Decimal] = Field(default_factory=dict)
    cache_key: bool = False
    block_mark: dict[str, Any] | None = None


class ModelRule(Caching):
    """What some models have otherwise: the fields that the rule names."""

    match: re.Pattern[str]

    def says(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.model_fields_set - {"match"}}


class Capabilities(Closed):
    """One provider type. Unknown limits are None."""

    type: str
    aliases: tuple[str, ...] = ()
    as_of: date | None = None
    source: tuple[str, ...] = ()
    supports_batch: bool = False
    batch_max_requests: int | None = None
    batch_max_bytes: int | None = None
    batch_price: Decimal | None = None
    caching: Caching = Caching()
    models: tuple[ModelRule, ...] = ()
    adapter_implemented: bool = False
    """Headrace speaks to it: `providers.toml` has an entry of this type."""

    @property
    def supports_caching(self) -> bool:
        return self.caching.marker != "none"


@cache
def capabilities() -> Mapping[str, Capabilities]:
    """Every known provider type, with what is known of it: those of `providers.toml` and those of `capabilities.toml`, by name."""
    rows = tomllib.loads(Path(__file__).with_name("capabilities.toml").read_text(encoding="utf-8"))
    spoken = kinds()
    return MappingProxyType(
        {
            name: Capabilities.model_validate({**_whole(name, rows), "type": name, "adapter_implemented": name in spoken})
            for name in sorted(spoken.keys() | rows.keys())
        }
    )


def _whole(name: str, rows: Mapping[str, Any]) -> dict[str, Any]:
    """A row with what it takes from another one; aliases are its own."""
    row = dict(rows.get(name, {}))
    if (other := row.pop("like", None)) is None:
        return row
    return {**_whole(other, rows), "aliases": (), **row}


def detect(name: str, base_url: str | None = None) -> Capabilities:
    """What a provider can do, by any of its names. A base_url at a known provider's address says more than the name does. Unknown: nothing, no error."""
    known = capabilities()
    named = _names().get(_plain(name))
    if base_url is not None and (there := _at(base_url)) and named not in there:
        return known[there[0]]
    return known[named] if named is not None else Capabilities(type=name)


@lru_cache(maxsize=1024)
def caching_of(type_name: str, model: str) -> Caching:
    """How this provider type caches prefixes for this model."""
    row = capabilities().get(type_name, Capabilities(type=type_name))
    said: dict[str, Any] = {}
    for rule in row.models:
        if rule.match.search(model):
            said |= rule.says()
    return row.caching.model_copy(update=said)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


@cache
def _names() -> Mapping[str, str]:
    """Types by all their names; a type's own name goes before another's alias."""
    rows = capabilities()
    return {_plain(alias): name for name, row in rows.items() for alias in row.aliases} | {_plain(name): name for name in rows}


@cache
def _addresses() -> tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]:
    """Base URLs that tell who is there, the longest first; one may serve several types."""
    found: dict[str, list[str]] = {}
    for name, kind in kinds().items():
        if not kind.base_url.startswith(LOCAL) and "{host}" not in kind.base_url:
            found.setdefault(kind.base_url, []).append(name)
    return tuple((_pattern(url), tuple(found[url])) for url in sorted(found, key=len, reverse=True))


def _pattern(url: str) -> re.Pattern[str]:
    """Matches a URL below this one; {names} stand for a label of the host."""
    return re.compile("[a-z0-9-]+".join(map(re.escape, NAME.split(url))) + r"(?=/|$)", re.IGNORECASE)


def _at(base_url: str) -> tuple[str, ...]:
    return next((names for pattern, names in _addresses() if pattern.match(base_url.strip())), ())
