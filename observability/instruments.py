"""Counters, gauges and histograms: recording updates a dictionary of this process, and costs one look at None while metrics are off."""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from time import time_ns

from observability.tracing import current_trace, recording

Labels = tuple[str | None, ...]
"""The values of an instrument's labels, in their declared order; None leaves a label out."""
Number = int | float | Decimal


@dataclass(frozen=True)
class Declared:
    """What an instrument is called and what its labels are."""

    name: str
    unit: str
    description: str
    labels: tuple[str, ...] = ()

    def attributes(self, values: Labels) -> dict[str, str]:
        """Values by the names of their labels."""
        return {label: value for label, value in zip(self.labels, values, strict=True) if value is not None}


class Counter:
    """Sums that only grow. `series` is None while nobody exports."""

    __slots__ = ("declared", "series")

    def __init__(self, declared: Declared) -> None:
        self.declared = declared
        self.series: dict[Labels, Number] | None = None

    def add(self, amount: Number, *labels: str | None) -> None:
        series = self.series
        if series is not None:
            series[labels] = series.get(labels, 0) + amount  # type: ignore[operator]  # a counter is fed with one type of number

    def points(self) -> Mapping[Labels, Number]:
        """The sums by labels, as they are now; another thread may ask."""
        return {} if self.series is None else dict(list(self.series.items()))


class Gauge:
    """Values as they are now: counted up and down, or asked of `source` when they are read."""

    __slots__ = ("declared", "series", "source")

    def __init__(self, declared: Declared) -> None:
        self.declared = declared
        self.series: dict[Labels, Number] | None = None
        self.source: Callable[[], Mapping[Labels, Number]] | None = None
        """Called from the thread that exports. Labels that it leaves out are gone from the next export."""

    def add(self, amount: int, *labels: str | None) -> None:
        series = self.series
        if series is not None:
            series[labels] = series.get(labels, 0) + amount

    def points(self) -> Mapping[Labels, Number]:
        if self.series is None:
            return {}
        return dict(list(self.series.items())) if self.source is None else self.source()


@dataclass(frozen=True, slots=True)
class Example:
    """One value that was recorded within a sampled trace."""

    value: float
    at_ns: int
    trace_id: str
    span_id: str


class Cell:
    """One series of a histogram: how many values fell into each bucket, their sum, and the last example of each bucket."""

    __slots__ = ("counts", "examples", "sum")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.sum = 0.0
        self.examples: dict[int, Example] = {}


class Histogram:
    """How values are spread. `bounds`: the upper ends of the buckets, each included; the last bucket has none."""

    __slots__ = ("bounds", "declared", "series")

    def __init__(self, declared: Declared, bounds: tuple[float, ...]) -> None:
        self.declared, self.bounds = declared, bounds
        self.series: dict[Labels, Cell] | None = None

    def record(self, value: float, *labels: str | None) -> None:
        series = self.series
        if series is None:
            return
        cell = series.get(labels)
        if cell is None:
            cell = series[labels] = Cell(len(self.bounds) + 1)
        bucket = bisect_left(self.bounds, value)
        cell.counts[bucket] += 1
        cell.sum += value
        if recording() and (trace := current_trace()) is not None:
            cell.examples[bucket] = Example(value, time_ns(), trace.trace_id, trace.span_id)

    def cells(self) -> dict[Labels, Cell]:
        """The series by labels; another thread may ask."""
        return {} if self.series is None else dict(list(self.series.items()))


Instrument = Counter | Gauge | Histogram
