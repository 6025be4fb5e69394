"""The optimisation fields of older configurations as `prompt_cache`, in snake_case or camelCase. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from cli.migration.outcome import SAFE_PROMPT_CACHE, Left

TTLS = {300: "5m", 3600: "1h"}
NO_BATCHES = "Headrace collects no batches by configuration: publish what can wait on the lane 'bulk'"
CACHING = ("optimization_enabled", "caching_enabled", "cache_ttl", "cache_breakpoints", "fallback_to_standard", "strategy")
BATCHING = ("batching_enabled", "batch_max_size", "batch_timeout")
FIELDS = (*CACHING, *BATCHING)


def snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def fields_of(document: Mapping[str, Any]) -> dict[str, tuple[str, Any]]:
    """The optimisation fields in a mapping: by their name, how they are spelled there and their value."""
    return {snake_case(key): (key, value) for key, value in document.items() if snake_case(key) in FIELDS}


def prompt_cache(found: Mapping[str, tuple[str, Any]], path: str, left: list[Left]) -> dict[str, Any]:
    """`prompt_cache` as the fields want it; what they want and Headrace has not goes to `left`. Caching is on only where both switches were."""
    values = {name: value for name, (_, value) in found.items()}
    cache = dict(SAFE_PROMPT_CACHE)
    cache["enabled"] = values.get("optimization_enabled") is True and values.get("caching_enabled") is True
    cache["fallback"] = values.get("fallback_to_standard", True) is not False

    def leave(name: str, why: str) -> None:
        left.append(Left(path + found[name][0], why))

    if "cache_ttl" in found:
        if values["cache_ttl"] in TTLS:
            cache["ttl"] = TTLS[values["cache_ttl"]]
        else:
            leave("cache_ttl", f"{values['cache_ttl']!r} s is no time that providers offer; 300 or 3600 are, and prompt_cache.ttl is 5m now")
    breakpoints = values.get("cache_breakpoints", "auto")
    if breakpoints in ("auto", "manual"):
        cache["breakpoints"] = breakpoints
    else:
        cache["enabled"] = False
        leave("cache_breakpoints", f"{breakpoints!r}: without marks there is nothing to cache, so prompt_cache is off")
    if values.get("strategy") == "batch_only":
        cache["enabled"] = False
    if "strategy" in found and values["strategy"] not in ("auto", "cache_only"):
        leave("strategy", NO_BATCHES)
    for name in BATCHING:
        if name in found:
            leave(name, NO_BATCHES)
    return cache
