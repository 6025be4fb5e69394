"""What a call costs: exact, by exact model, null where something is unknown."""

import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from genai_prices import Usage, calc_price
from hypothesis import given
from hypothesis import strategies as st

from catalog.kinds import kinds
from catalog.models import Catalog
from catalog.money import money
from catalog.prices import FREE, Price, configured
from catalog.published import published
from contracts.config import ConfigV1, PriceV1
from contracts.outcome import AttemptSummaryV1, UsageV1


def usage(input_tokens: int | None = 1000, output_tokens: int | None = 500, **more: int) -> UsageV1:
    return UsageV1(input_tokens=input_tokens, output_tokens=output_tokens, **more)


def price(provider: str, model: str) -> Price:
    found = published(provider, model).price
    assert found is not None
    return found


def test_t1_a_dated_model_is_priced_as_itself_and_not_as_its_prefix() -> None:
    assert price("openai", "gpt-4o-mini-2024-07-18").cost(usage()) == Decimal("0.00045")
    assert price("openai", "gpt-4.1").cost(usage()) == Decimal("0.006")


@pytest.mark.parametrize("model", ["gpt", "gpt-4.1-foo", "gpt-4o-mini-custom", "ft:gpt-4o-mini:acme", "nothing-like-it"])
def test_t1_a_model_that_only_begins_like_a_known_one_is_unpriced(model: str) -> None:
    assert published("openai", model).price is None
    assert published("openai", model).context_window is None


def test_t1_a_match_of_the_price_list_that_is_only_a_prefix_is_not_believed() -> None:
    assert calc_price(Usage(input_tokens=1), "claude-sonnet-4-5-turbo", provider_id="anthropic").model.id == "claude-sonnet-4-5"
    assert published("anthropic", "claude-sonnet-4-5-turbo").price is None


@pytest.mark.parametrize("model", ["claude-sonnet-4-5-20250929", "claude-sonnet-4-20250514", "claude-3-opus-20240229", "claude-3-5-haiku-latest"])
def test_dated_and_rolling_names_of_a_model_are_priced(model: str) -> None:
    expected = calc_price(Usage(input_tokens=1000, output_tokens=500), model, provider_id="anthropic").total_price
    assert price("anthropic", model).cost(usage()) == expected


def test_t2_an_unknown_price_is_null_and_never_zero() -> None:
    config = ConfigV1.model_validate({"version": 2, "providers": [{"id": "v", "type": "vllm", "models": [{"id": "m"}]}]})
    offer = Catalog(config).find("v", "m")
    assert offer is not None and offer.price is None


def test_a_free_type_costs_zero_even_when_usage_is_unknown() -> None:
    assert FREE.cost(UsageV1()) == 0
    assert FREE.estimate(10**9, 10**9) == 0


@pytest.mark.parametrize("unknown", [usage(None), usage(output_tokens=None), UsageV1()])
def test_an_unknown_count_makes_the_cost_unknown(unknown: UsageV1) -> None:
    assert price("openai", "gpt-4o-mini").cost(unknown) is None


def test_counts_that_contradict_each_other_make_the_cost_unknown() -> None:
    assert price("openai", "gpt-4o-mini").cost(usage(10, 1, cache_read_tokens=11)) is None


def test_cached_tokens_are_part_of_the_input_and_billed_at_their_own_rate() -> None:
    cost = price("anthropic", "claude-sonnet-4-5").cost(usage(1000, 0, cache_read_tokens=400, cache_write_tokens=300, cache_write_1h_tokens=100))
    assert cost == (300 * Decimal(3) + 400 * Decimal("0.3") + 200 * Decimal("3.75") + 100 * Decimal(6)) / 1_000_000


def test_a_rate_that_the_configuration_leaves_out_is_unknown_and_not_zero() -> None:
    only_input = configured(PriceV1(input_mtok=Decimal(1)), "config@1", bills_output=True)
    assert only_input.cost(usage(1000, 0)) == Decimal("0.001")
    assert only_input.cost(usage(1000, 1)) is None
    assert only_input.cost(usage(1000, 0, cache_read_tokens=1)) is None


def test_an_embedding_without_an_output_count_is_priced() -> None:
    assert price("openai", "text-embedding-3-small").cost(usage(12, None)) == Decimal("0.00000024")


def test_a_long_prompt_pays_the_tier_rate_for_all_tokens() -> None:
    tiered = price("anthropic", "claude-sonnet-4-5")
    for tokens in (199_999, 200_000, 200_001, 300_000):
        expected = calc_price(Usage(input_tokens=tokens, output_tokens=7), "claude-sonnet-4-5", provider_id="anthropic").total_price
        assert tiered.cost(usage(tokens, 7)) == expected


def test_a_price_that_changed_on_a_date_depends_on_the_date() -> None:
    changed = price("anthropic", "claude-sonnet-4-6")
    for at in (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)):
        wanted = calc_price(Usage(input_tokens=250_000, output_tokens=7), "claude-sonnet-4-6", provider_id="anthropic", genai_request_timestamp=at)
        assert changed.cost(usage(250_000, 7), at) == wanted.total_price


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_costs_equal_those_of_genai_prices(fresh: int, cached: int, output: int) -> None:
    wanted = calc_price(Usage(input_tokens=fresh + cached, cache_read_tokens=cached, output_tokens=output), "gpt-4o-mini", provider_id="openai").total_price
    assert price("openai", "gpt-4o-mini").cost(usage(fresh + cached, output, cache_read_tokens=cached)) == wanted


@given(st.decimals(0, 10**9, allow_nan=False, places=15))
def test_money_is_dumped_without_an_exponent_and_exact(amount: Decimal) -> None:
    text = AttemptSummaryV1(n=1, provider="p", model="m", outcome="answered", cost_usd=money(amount)).model_dump_json()
    assert "E" not in text
    assert AttemptSummaryV1.model_validate_json(text).cost_usd == amount


@pytest.mark.parametrize(("amount", "text"), [("8.1E-5", "0.000081"), ("2.40E-7", "0.00000024"), ("1E+3", "1000"), ("0E-10", "0"), ("0.50", "0.5")])
def test_money_is_canonical(amount: str, text: str) -> None:
    assert f"{money(Decimal(amount)):f}" == text


def test_pricing_a_call_takes_microseconds() -> None:
    plain, counted = price("openai", "gpt-4o-mini"), usage(cache_read_tokens=100)
    best = min(_seconds(plain, counted) for _ in range(5))
    assert best < 20e-6


def _seconds(plain: Price, counted: UsageV1) -> float:
    start = time.perf_counter()
    for _ in range(1000):
        plain.cost(counted)
    return (time.perf_counter() - start) / 1000


def test_free_types_are_the_local_ones() -> None:
    assert {name for name, kind in kinds().items() if kind.free} == {"ollama", "ollama_native", "local", "lmstudio"}
