"""What usage costs: rates resolved once, exact decimals, and null wherever something needed is unknown."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from catalog.money import MILLION, ZERO, money
from contracts.config import PriceV1
from contracts.outcome import UsageV1


@dataclass(frozen=True, slots=True)
class Rates:
    """USD a token; None is unknown. `per_request` is added to every call."""

    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    per_request: Decimal = ZERO


Band = tuple[int, Rates]
"""Rates for all tokens of a call with more input tokens than the number (providers bill long prompts by cliffs)."""


@dataclass(frozen=True, slots=True)
class Season:
    """Prices that hold while `active` says so (a start date, an off-peak time of day)."""

    bands: tuple[Band, ...]
    """Ascending; the first begins at -1."""
    active: Callable[[datetime], bool] | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """The price of one model at one provider. `seasons` are tried last to first; none of them: free of charge."""

    version: str
    seasons: tuple[Season, ...] = ()
    bills_output: bool = True
    """False for models without output tokens (embeddings): their missing count is not an unknown one."""

    @property
    def free(self) -> bool:
        return not self.seasons

    def cost(self, usage: UsageV1, at: datetime | None = None) -> Decimal | None:
        """USD for a call; None when a needed rate or count is unknown. A cache count that was not reported is not billed separately."""
        if not self.seasons:
            return ZERO
        total, read, written = usage.input_tokens, usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
        output = usage.output_tokens if usage.output_tokens is not None or self.bills_output else 0
        if total is None or output is None:
            return None
        written_1h = min(usage.cache_write_1h_tokens or 0, written)
        plain = total - read - written
        if plain < 0:
            return None
        rates = self._rates(total, at)
        amount = rates.per_request
        for count, rate in (
            (plain, rates.input),
            (output, rates.output),
            (read, rates.cache_read),
            (written - written_1h, rates.cache_write),
            (written_1h, rates.cache_write_1h),
        ):
            if count:
                if rate is None:
                    return None
                amount += count * rate
        return money(amount)

    def estimate(self, input_tokens: int, output_tokens: int, at: datetime | None = None) -> Decimal | None:
        """USD for a call that has not been made, nothing cached."""
        return self.cost(UsageV1(input_tokens=input_tokens, output_tokens=output_tokens), at)

    def _rates(self, input_tokens: int, at: datetime | None) -> Rates:
        bands = self._season(at).bands
        for above, rates in reversed(bands):
            if input_tokens > above:
                return rates
        return bands[0][1]

    def _season(self, at: datetime | None) -> Season:
        if len(self.seasons) == 1:
            return self.seasons[0]
        moment = at or datetime.now(UTC)
        return next((season for season in reversed(self.seasons) if season.active is None or season.active(moment)), self.seasons[0])


FREE = Price("free")


def configured(price: PriceV1, version: str, bills_output: bool) -> Price:
    """A price of the configuration. What it leaves out is unknown."""

    def rate(per_mtok: Decimal | None) -> Decimal | None:
        return None if per_mtok is None else per_mtok / MILLION

    rates = Rates(rate(price.input_mtok), rate(price.output_mtok), rate(price.cache_read_mtok), rate(price.cache_write_mtok))
    return Price(version, (Season(((-1, rates),)),), bills_output)
