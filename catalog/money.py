"""Exact money: decimals without trailing zeros or exponents."""

from decimal import Decimal

ZERO = Decimal(0)
MILLION = Decimal(1_000_000)


def money(value: Decimal) -> Decimal:
    """The same amount, without trailing zeros and without a positive exponent (`f"{money(x):f}"` is canonical)."""
    shortest = value.normalize()
    return shortest.quantize(Decimal(1)) if shortest.as_tuple().exponent > 0 else shortest  # type: ignore[operator]  # a price is finite: its exponent is an int
