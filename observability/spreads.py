"""Our histograms as the SDK's data: a record by the SDK costs ten times one of ours, and it has no histogram that can be observed."""

from time import time_ns

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import AggregationTemporality, HistogramDataPoint, Metric
from opentelemetry.sdk.metrics.export import Histogram as HistogramData

from observability.instruments import Cell, Histogram, Labels

EXAMPLE_S = 300
"""An example is exported for so long after it was recorded."""
Known = tuple[list[int], float]
"""Counts and sum of a series at the export before."""


class Spreads:
    """One reader's view: whole sums, or (`DELTA`) what came since it last looked."""

    def __init__(self, temporality: AggregationTemporality) -> None:
        self._temporality = temporality
        self._began_ns = time_ns()
        self._before: dict[tuple[str, Labels], Known] = {}
        self._looked_ns: dict[str, int] = {}

    def of(self, histogram: Histogram, now_ns: int) -> Metric | None:
        """A histogram as a metric; None while it has no series."""
        told = histogram.declared
        since_ns = self._looked_ns.get(told.name, self._began_ns)
        points = [self._point(histogram, labels, cell, since_ns, now_ns) for labels, cell in histogram.cells().items()]
        if self._temporality is AggregationTemporality.DELTA:
            self._looked_ns[told.name] = now_ns
        return Metric(told.name, told.description, told.unit, HistogramData(points, self._temporality)) if points else None

    def _point(self, histogram: Histogram, labels: Labels, cell: Cell, since_ns: int, now_ns: int) -> HistogramDataPoint:
        counts, total = list(cell.counts), cell.sum
        examples = [each for each in list(cell.examples.values()) if each.at_ns > now_ns - EXAMPLE_S * 10**9]
        if self._temporality is AggregationTemporality.DELTA:
            known_counts, known_total = self._before.get((histogram.declared.name, labels), ([0] * len(counts), 0.0))
            self._before[histogram.declared.name, labels] = (counts, total)
            counts, total = [now - before for now, before in zip(counts, known_counts, strict=True)], total - known_total
            examples = [each for each in examples if each.at_ns > since_ns]
        return HistogramDataPoint(
            attributes=histogram.declared.attributes(labels),
            start_time_unix_nano=since_ns,
            time_unix_nano=now_ns,
            count=sum(counts),
            sum=total,
            bucket_counts=counts,
            explicit_bounds=histogram.bounds,
            min=None,  # type: ignore[arg-type]  # optional in the protocol; a minimum since the process began says nothing
            max=None,  # type: ignore[arg-type]
            exemplars=[Exemplar({}, each.value, each.at_ns, int(each.span_id, 16), int(each.trace_id, 16)) for each in examples],
        )
