"""Offers: the configuration joined with what is known of types and models."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from catalog.kinds import kinds
from catalog.models import Catalog, Offer
from contracts.config import ConfigV1
from contracts.outcome import UsageV1

USAGE = UsageV1(input_tokens=1_000_000, output_tokens=0)


def catalog(*models: Any, kind: str = "openai", revision: int | None = None, **provider: Any) -> Catalog:
    entry = {"id": "p", "type": kind, "models": list(models), **provider}
    return Catalog(ConfigV1.model_validate({"version": 2, "providers": [entry]}), revision=revision)


def offer(model: dict[str, Any], **how: Any) -> Offer:
    found = catalog(model, **how).find("p", model["id"])
    assert found is not None
    return found


def test_a_model_that_is_not_listed_is_not_offered() -> None:
    assert catalog({"id": "gpt-4o-mini"}).find("p", "gpt-4o") is None
    assert catalog({"id": "gpt-4o-mini"}).find("q", "gpt-4o-mini") is None


def test_the_context_window_is_published_and_can_be_overridden() -> None:
    assert offer({"id": "gpt-4o-mini"}).context_window == 128_000
    assert offer({"id": "gpt-4o-mini", "context_window": 4096}).context_window == 4096
    assert offer({"id": "unheard-of"}).context_window is None


def test_a_models_price_beats_its_providers_and_that_beats_the_published_one() -> None:
    own, shared = {"input_mtok": "7"}, {"input_mtok": "5"}
    costs = [
        offer({"id": "gpt-4o-mini", "price": own}, price=shared),
        offer({"id": "gpt-4o-mini"}, price=shared),
        offer({"id": "gpt-4o-mini"}),
    ]
    assert [each.price.cost(USAGE) if each.price else None for each in costs] == [7, 5, Decimal("0.15")]


def test_a_price_names_its_version() -> None:
    assert (found := offer({"id": "gpt-4o-mini"}).price) and found.version.startswith("genai-prices@")
    assert (found := offer({"id": "m", "price": {"input_mtok": "1"}}, revision=7).price) and found.version == "config@7"
    assert (found := offer({"id": "m", "price": {"input_mtok": "1"}}).price) and len(found.version) > len("config@")


@pytest.mark.parametrize(("kind", "cost"), [("local", 0), ("ollama", 0), ("vllm", None), ("never-heard-of", None)])
def test_local_types_are_free_and_unknown_types_are_unpriced(kind: str, cost: int | None) -> None:
    found = offer({"id": "gpt-4o-mini"}, kind=kind).price
    assert (found.cost(USAGE) if found else None) == cost


def test_a_configured_price_beats_free() -> None:
    found = offer({"id": "m", "price": {"input_mtok": "1"}}, kind="local").price
    assert found is not None and found.cost(USAGE) == 1


def test_a_capability_that_nobody_denies_is_present() -> None:
    local = offer({"id": "m", "capabilities": {"vision": False}}, kind="vllm")
    assert local.can("tools") and not local.can("vision")
    assert not offer({"id": "m"}, kind="local").can("tools")
    assert offer({"id": "m", "capabilities": ["tools"]}, kind="local").can("tools")


UNDESCRIBED = frozenset({"openai_responses"})
"""Protocols whose section is still to be written."""


def test_every_provider_type_stands_in_the_page_of_providers() -> None:
    page = (Path(__file__).parents[3] / "docs" / "providers.md").read_text(encoding="utf-8")
    headings = " ".join(line for line in page.splitlines() if line.startswith("## "))
    missing = {
        name for name, kind in kinds().items() if kind.protocol not in UNDESCRIBED and f"| `{name}` |" not in page and not re.search(rf"\b{name}\b", headings)
    }
    assert not missing, "say in docs/providers.md what works there"
