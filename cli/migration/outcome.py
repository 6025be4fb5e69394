"""What a migration gives: the new document, and what could not come along, with the reason."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from contracts.config import REFERENCE, PromptCacheV1

SAFE_PROMPT_CACHE: Mapping[str, Any] = PromptCacheV1().model_dump()
"""Off, and all else as a version 2 without these fields behaves."""
SECRET_NAMES = ("key", "token", "secret", "password", "authorization", "cookie")


@dataclass(frozen=True)
class Left:
    """A setting that was not carried over."""

    path: str
    why: str


@dataclass
class Migrated:
    document: dict[str, Any]
    left: list[Left] = field(default_factory=list)
    to_do: list[str] = field(default_factory=list)
    """What a person has to do before the new file works: variables to set."""


def literal_secrets(value: Any, name: str = "") -> Iterator[str]:
    """Texts in a document that must not be shown: what stands under a secret's name and is no reference."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from literal_secrets(inner, str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from literal_secrets(inner, name)
    elif isinstance(value, str) and any(word in name.lower() for word in SECRET_NAMES) and not REFERENCE.match(value) and value:
        yield value
    elif isinstance(value, str) and "://" in value and "@" in value.partition("://")[2].partition("/")[0]:
        yield value.partition("://")[2].partition("@")[0]
