"""The measured values that findings rest on. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from math import sqrt
from typing import Literal

Model = tuple[str, str]
"""Provider and model."""
Measure = Literal["duration_s", "tokens"]


@dataclass(frozen=True)
class Group:
    """The calls of one model in one hour (`2026-11-21T12`, UTC), summed up. Seconds are of answered calls, tokens of all whose usage is known."""

    hour: str
    provider: str
    model: str
    calls: int = 0
    answered: int = 0
    faults: int = 0
    """Failures that the provider answers for."""
    refused: int = 0
    """Failures that the request answers for: invalid, too long, filtered, expired, cancelled."""
    timed: int = 0
    duration_s: float = 0.0
    duration_s_squared: float = 0.0
    counted: int = 0
    tokens: float = 0.0
    tokens_squared: float = 0.0
    large: int = 0
    """Calls of more tokens than `LARGE_TOKENS`."""
    cache_known: int = 0
    cache_used: int = 0
    """Calls that wrote to a prompt cache or read from one."""
    cache_hits: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    wasted_usd: Decimal = Decimal(0)
    """Of `cost_usd`, what calls cost that gave no answer."""

    @property
    def key(self) -> Model:
        return self.provider, self.model


SUMMED = tuple(one.name for one in fields(Group) if one.name not in ("hour", "provider", "model"))


def summed(groups: Iterable[Group]) -> Group:
    """One group of many; hour and names are those of the first."""
    found = list(groups)
    first = found[0] if found else Group("", "", "")
    return replace(first, **{name: sum((getattr(one, name) for one in found), type(getattr(first, name))(0)) for name in SUMMED})


@dataclass(frozen=True)
class Spread:
    """How many, their mean and their standard deviation."""

    count: int
    mean: float
    deviation: float


def spread(group: Group, measure: Measure) -> Spread:
    count, total, squared = (
        (group.timed, group.duration_s, group.duration_s_squared) if measure == "duration_s" else (group.counted, group.tokens, group.tokens_squared)
    )
    if not count:
        return Spread(0, 0.0, 0.0)
    mean = total / count
    return Spread(count, mean, sqrt(max(squared / count - mean * mean, 0.0)))


@dataclass(frozen=True)
class Outliers:
    """Calls of a model that lie above a limit, and the worst of them."""

    provider: str
    model: str
    measure: Measure
    limit: float
    mean: float
    count: int
    worst_call: str
    worst: float


@dataclass(frozen=True)
class Latency:
    """Seconds that at most half, 95 and 99 of 100 answered calls of a provider took."""

    provider: str
    p50_s: float
    p95_s: float
    p99_s: float
