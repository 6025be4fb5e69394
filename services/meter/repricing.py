"""What a call of the ledger costs at other prices: the decision for one row, and the sums of both sides. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from catalog.models import Catalog
from contracts.outcome import UsageV1
from services.meter.entries import USAGE, Row

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Repriced:
    """The same usage at another price."""

    cost_usd: Decimal
    price_version: str


def decide(row: Row, catalog: Catalog) -> Repriced | str:
    """The corrected cost of a row, or why it stays as it is.

    `same`: the price gives what stands there. `provider`: the provider itself said what it cost. `estimate`, `no_usage`: nobody knows what was used.
    `no_price`: the configuration and the catalog have none for it now; a cost that was known once is not made unknown.
    """
    if row["basis"] in ("provider", "estimate"):
        return str(row["basis"])
    if row["outcome"] != "answered" and row["input_tokens"] == row["output_tokens"] == 0:
        return "same"  # it never reached the provider or was refused: nothing, at any price
    offer = catalog.find(row["provider"], row["model"])
    if offer is None or offer.price is None:
        return "no_price"
    usage = UsageV1(**{name: row[name] for name in USAGE})
    cost = offer.price.cost(usage, datetime.fromisoformat(row["occurred_at"]))
    if cost is None:
        return "no_usage" if row["input_tokens"] is None or row["output_tokens"] is None else "no_price"
    if row["cost_usd"] is not None and Decimal(row["cost_usd"]) == cost:
        return "same"
    return Repriced(cost, offer.price.version)


@dataclass(slots=True)
class Sums:
    """Both sides of a comparison, USD; unknown costs are counted, not summed."""

    calls: int = 0
    changed: int = 0
    old_usd: Decimal = ZERO
    new_usd: Decimal = ZERO
    old_unpriced: int = 0
    new_unpriced: int = 0
    kept: Counter[str] = field(default_factory=Counter)

    def add(self, row: Row, decision: Repriced | str) -> None:
        old = None if row["cost_usd"] is None else Decimal(row["cost_usd"])
        new = decision.cost_usd if isinstance(decision, Repriced) else old
        self.calls += 1
        self.old_usd += old or ZERO
        self.new_usd += new or ZERO
        self.old_unpriced += old is None
        self.new_unpriced += new is None
        if isinstance(decision, Repriced):
            self.changed += 1
        else:
            self.kept[decision] += 1

    def include(self, other: "Sums") -> None:
        for name in ("calls", "changed", "old_usd", "new_usd", "old_unpriced", "new_unpriced"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.kept += other.kept

    def plain(self) -> dict[str, Any]:
        """Money as text, the kept calls by reason."""
        usd = {"old_usd": self.old_usd, "new_usd": self.new_usd, "difference_usd": self.new_usd - self.old_usd}
        counts = {"calls": self.calls, "changed": self.changed}
        unpriced = {"old_unpriced": self.old_unpriced, "new_unpriced": self.new_unpriced}
        return {**counts, **{name: f"{value.normalize():f}" for name, value in usd.items()}, **unpriced, "kept": dict(sorted(self.kept.items()))}


Comparison = Mapping[tuple[str, str], Sums]
"""By provider and model."""


def total(comparison: Comparison) -> Sums:
    whole = Sums()
    for sums in comparison.values():
        whole.include(sums)
    return whole
