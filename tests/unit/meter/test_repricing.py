"""What a call costs at other prices, and which costs stay."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from catalog.models import Catalog
from contracts.config import ConfigV1
from services.meter.reprice import corrected_row
from services.meter.repricing import Repriced, Sums, decide

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CATALOG = Catalog(
    ConfigV1.model_validate(
        {
            "version": 2,
            "providers": [
                {"id": "p", "type": "unknown", "models": [{"id": "m", "price": {"input_mtok": "1", "output_mtok": "2"}}, {"id": "unpriced"}]},
                {"id": "published", "type": "openai", "models": [{"id": "gpt-4o-mini"}]},
                {"id": "a_request", "type": "perplexity", "models": [{"id": "sonar"}]},
            ],
        }
    ),
    revision=7,
)


def row(**fields: Any) -> dict[str, Any]:
    usage = {"input_tokens": 1_000_000, "output_tokens": 500_000, "cache_read_tokens": 0, "cache_write_tokens": 0}
    known = {"cache_write_1h_tokens": None, "reasoning_tokens": None, "cost_usd": "9", "basis": "usage", "price_version": "config@1", "repriced_at": None}
    return {"provider": "p", "model": "m", "outcome": "answered", "occurred_at": "2026-11-21T12:00:00.000000Z", **usage, **known, **fields}


@pytest.mark.parametrize(
    ("fields", "decision"),
    [
        ({}, Repriced(Decimal(2), "config@7")),
        ({"cost_usd": None, "basis": "unknown"}, Repriced(Decimal(2), "config@7")),
        ({"provider": "published", "model": "gpt-4o-mini"}, None),
        ({"cost_usd": "2.000"}, "same"),
        ({"basis": "provider"}, "provider"),
        ({"basis": "estimate", "outcome": "outcome_unknown"}, "estimate"),
        ({"input_tokens": None, "basis": "unknown", "cost_usd": None}, "no_usage"),
        ({"model": "unpriced"}, "no_price"),
        ({"model": "gone"}, "no_price"),
        ({"provider": "gone"}, "no_price"),
        ({"cache_read_tokens": 10}, "no_price"),
        ({"outcome": "rate_limited", "input_tokens": 0, "output_tokens": 0, "cost_usd": "0"}, "same"),
        ({"outcome": "rate_limited", "input_tokens": 0, "output_tokens": 0, "cost_usd": "0", "provider": "a_request", "model": "sonar"}, "same"),
    ],
)
def test_a_call_is_priced_again_only_where_its_usage_and_a_price_are_known_and_its_provider_did_not_name_the_cost(
    fields: dict[str, Any], decision: Repriced | str | None
) -> None:
    made = decide(row(**fields), CATALOG)
    if decision is None:
        assert isinstance(made, Repriced)
        assert (made.cost_usd, made.price_version.partition("@")[0]) == (Decimal("0.45"), "genai-prices")
    else:
        assert made == decision


def test_both_sides_are_summed_exactly_and_what_is_unknown_is_counted() -> None:
    sums = Sums()
    for each in (row(), row(cost_usd=None, basis="unknown"), row(basis="provider", cost_usd="0.1"), row(model="gone", cost_usd=None)):
        sums.add(each, decide(each, CATALOG))
    assert sums.plain() == {
        "calls": 4,
        "changed": 2,
        "old_usd": "9.1",
        "new_usd": "4.1",
        "difference_usd": "-5",
        "old_unpriced": 2,
        "new_unpriced": 1,
        "kept": {"no_price": 1, "provider": 1},
    }


def test_a_correction_is_later_than_the_one_before_it_whatever_the_clock_says() -> None:
    decision = Repriced(Decimal(2), "config@7")
    first = corrected_row(row(cost_usd=None, basis="unknown"), decision, NOW)
    assert (first["cost_usd"], first["basis"], first["price_version"], first["repriced_at"]) == ("2", "usage", "config@7", "2026-11-21T12:00:00.000000Z")
    second = corrected_row(first, decision, NOW.replace(hour=11))
    assert second["repriced_at"] > first["repriced_at"]
