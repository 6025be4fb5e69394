"""What a model does not take of what its protocol can say: the rules of `models.toml`, as values."""

import re
import tomllib
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from contracts.base import Closed

CALM = 0.5


class ModelTraits(Closed):
    """What is known of one model; the file's head says what each field means."""

    sampling: bool = True
    effort: bool = False
    one_of_temperature_and_top_p: bool = False
    forced_tools: bool = True
    json_schema: bool = True
    stop: bool = True
    system_anywhere: bool = False
    max_tokens: int | None = None
    json_with_tools: bool = True
    signed_calls: bool = False
    encrypted_reasoning: bool = False
    takes_reasoning: bool = True


class Rule(ModelTraits):
    """One `[[rule]]`: the fields it names replace what earlier rules said."""

    protocols: tuple[str, ...]
    types: frozenset[str] = frozenset()
    match: re.Pattern[str]
    source: str
    since: date

    def says(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.model_fields_set & ModelTraits.model_fields.keys()}


@lru_cache(maxsize=1)
def rules() -> tuple[Rule, ...]:
    """All rules, in the file's order, read once."""
    found = tomllib.loads(Path(__file__).with_name("models.toml").read_text(encoding="utf-8"))
    return TypeAdapter(tuple[Rule, ...]).validate_python(found["rule"])


@lru_cache(maxsize=1024)
def traits_of(protocol: str, model: str, provider_type: str = "") -> ModelTraits:
    """What is known of this model where it is reached by this protocol, at a provider of this type."""
    said: dict[str, Any] = {}
    for rule in rules():
        if protocol in rule.protocols and (not rule.types or provider_type in rule.types) and rule.match.search(model):
            said |= rule.says()
    return ModelTraits(**said)


def effort_for(temperature: float) -> str:
    """The effort that stands for a temperature, where a model takes none: a low one asks for an answer that is weighed well."""
    return "high" if temperature < CALM else "medium"
