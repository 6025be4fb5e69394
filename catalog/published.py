"""Published prices and context windows from genai-prices, by exact id or a dated version of it: never by a prefix guess."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

import genai_prices
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ClauseEquals, ClauseOr, MatchLogic, ModelInfo, ModelPrice, TieredPrices

from catalog.money import MILLION, ZERO
from catalog.prices import Band, Price, Rates, Season

VERSION = f"genai-prices@{genai_prices.__version__}"
KEYS = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok")
RELEASE = re.compile(r"[-@](?:(?:preview-)?(?:\d{4}-\d{2}-\d{2}|\d{8}|\d{6}|\d{3,4}|\d{2}-\d{2}|\d{2}-\d{4})|latest)(?:-v\d+(?::\d+)?)?\Z|-v\d+:\d+\Z")
"""What may follow a model's id and still mean the same model: a date, a numbered snapshot, `latest`."""
ROLLING = re.compile(r"-(?:latest|0)\Z")
"""How the price list itself names the newest snapshot of a model."""


@dataclass(frozen=True, slots=True)
class Published:
    context_window: int | None
    price: Price | None


NOTHING = Published(None, None)


@lru_cache(maxsize=4096)
def published(provider: str, model: str) -> Published:
    """What the price list says of a model; nothing when it names it only approximately."""
    try:
        _, found = get_snapshot().find_provider_model(model, None, provider, None)
    except LookupError:
        return NOTHING
    return Published(found.context_window, _price(found)) if same_model(model, found) else NOTHING


def same_model(asked: str, found: ModelInfo) -> bool:
    """Whether a match of the price list is the model asked for, not a relative whose id begins alike."""
    wanted, listed = asked.lower(), found.id.lower()
    if wanted == listed or wanted in _aliases(found.match):
        return True
    stem = ROLLING.sub("", listed)
    return wanted == stem or (wanted.startswith(stem) and RELEASE.fullmatch(wanted[len(stem) :]) is not None)


def _aliases(match: MatchLogic) -> Iterator[str]:
    """The ids that the price list names in full."""
    if isinstance(match, ClauseEquals):
        yield match.equals.lower()
    elif isinstance(match, ClauseOr):
        for clause in match.or_:
            yield from _aliases(clause)


def _price(found: ModelInfo) -> Price | None:
    priced = [(None, found.prices)] if isinstance(found.prices, ModelPrice) else [(each.constraint, each.prices) for each in found.prices]
    seasons = tuple(Season(_bands(prices), constraint.active if constraint else None) for constraint, prices in priced)
    if not seasons or all(rates.input is None for season in seasons for _, rates in season.bands):
        return None
    return Price(VERSION, seasons, bills_output=any(rates.output is not None for season in seasons for _, rates in season.bands))


def _bands(prices: ModelPrice) -> tuple[Band, ...]:
    """Flatten tiered prices: one set of rates for each input size at which any of them changes."""
    listed = [getattr(prices, key) for key in KEYS]
    starts = {tier.start for price in listed if isinstance(price, TieredPrices) for tier in price.tiers}
    return tuple((start, _rates(prices, start + 1)) for start in (-1, *sorted(starts)))


def _rates(prices: ModelPrice, input_tokens: int) -> Rates:
    by_token = [_token(_at(getattr(prices, key), input_tokens)) for key in KEYS]
    per_request = (_at(prices.requests_kcount, input_tokens) or ZERO) / 1000
    return Rates(by_token[0], by_token[1], by_token[2], by_token[3], by_token[4], per_request)


def _token(per_mtok: Decimal | None) -> Decimal | None:
    return None if per_mtok is None else per_mtok / MILLION


def _at(price: Decimal | TieredPrices | None, input_tokens: int) -> Decimal | None:
    if not isinstance(price, TieredPrices):
        return price
    return next((tier.price for tier in reversed(price.tiers) if input_tokens > tier.start), price.base)
