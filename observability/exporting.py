"""Metrics on their way out, by the OpenTelemetry SDK: pushed by OTLP, or read from `/metrics`."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from time import time_ns
from typing import Any

import structlog
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import Histogram as HistogramKind
from opentelemetry.sdk.metrics import MeterProvider, ObservableCounter, ObservableGauge
from opentelemetry.sdk.metrics.export import AggregationTemporality, ConsoleMetricExporter, MetricExporter, MetricsData, PeriodicExportingMetricReader
from prometheus_client import CollectorRegistry, generate_latest

from observability import complaints, metrics
from observability.environment import Environment, exporters, protocol, reachable, whole
from observability.instruments import Counter, Gauge, Histogram
from observability.resource import resource
from observability.spreads import Spreads

log = structlog.get_logger()

SHUTDOWN_S = 2.0
"""A collector that is away does not hold up a process that ends."""
MOST_SERIES = 100_000
"""Of one metric. The SDK's own limit is 2,000; our labels are bounded by the configuration."""
LIMITS: Mapping[type, int] = {ObservableCounter: MOST_SERIES, ObservableGauge: MOST_SERIES}
INTERVAL, INTERVAL_MS = "OTEL_METRIC_EXPORT_INTERVAL", 60_000
WAYS = ("otlp", "prometheus", "console", "none")

_provider: MeterProvider | None = None
_registry: CollectorRegistry | None = None


def wanted(environ: Environment, *, scraped: bool) -> frozenset[str]:
    """The ways out that the environment asks for; none: nothing is recorded. `scraped`: there is a port for `/metrics`."""
    chosen = frozenset(exporters(environ, "METRICS", WAYS))
    if "none" in chosen:
        return frozenset()
    pushed = chosen & {"otlp", "console"}
    return pushed | {"prometheus"} if scraped else pushed


def configure_metrics(service: str, *, scraped: bool) -> None:
    """Record from now on, if the environment asks for it. `scraped`: `/metrics` is served."""
    global _provider, _registry
    ways = wanted(os.environ, scraped=scraped)
    pushing = [made for way in sorted(ways - {"prometheus"}) if (made := _exporter(way, os.environ)) is not None]
    if not pushing and "prometheus" not in ways:
        return
    complaints.listen()
    metrics.begin()
    interval_ms = whole(os.environ, INTERVAL, INTERVAL_MS)
    readers: list[Any] = [Pushed(exporter, export_interval_millis=interval_ms, cardinality_limits=dict(LIMITS)) for exporter in pushing]
    if "prometheus" in ways:
        _registry = CollectorRegistry(auto_describe=False)
        readers.append(Scraped(registry=_registry, scope_info_enabled=False, cardinality_limits=dict(LIMITS)))
    _provider = MeterProvider(readers, resource=resource(service), shutdown_on_exit=False)
    meter = _provider.get_meter("headrace")
    for instrument in metrics.INSTRUMENTS:
        told = instrument.declared
        if isinstance(instrument, Counter):
            meter.create_observable_counter(told.name, [observed(instrument)], told.unit, told.description)
        elif isinstance(instrument, Gauge):
            meter.create_observable_gauge(told.name, [observed(instrument)], told.unit, told.description)


def shutdown_metrics() -> None:
    """Send what was recorded since the last export, and record no more. Takes `SHUTDOWN_S` at most."""
    global _provider, _registry
    if _provider is not None:
        _provider.shutdown(timeout_millis=SHUTDOWN_S * 1000)
    _provider = _registry = None
    metrics.end()


def exposition() -> bytes | None:
    """All metrics as Prometheus reads them; None where nothing is recorded for it."""
    return None if _registry is None else generate_latest(_registry)


def observed(instrument: Counter | Gauge) -> Callable[[CallbackOptions], Iterable[Observation]]:
    """What the SDK asks at each export."""

    def observe(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(_number(value), instrument.declared.attributes(labels)) for labels, value in instrument.points().items()]

    return observe


def _number(value: Any) -> int | float:
    return value if isinstance(value, int | float) else float(value)


def _exporter(way: str, environ: Environment) -> MetricExporter | None:
    """An exporter of the protocol that the environment names; all else it reads there itself."""
    if way == "console":
        return ConsoleMetricExporter()
    if protocol(environ, "METRICS") == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as Grpc

        return Grpc()
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as Http

    return Http() if reachable(environ, "METRICS") else None


class Scraped(PrometheusMetricReader):
    """Prometheus's reader, which is given our histograms too."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._spreads = Spreads(AggregationTemporality.CUMULATIVE)

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        super()._receive_metrics(with_histograms(metrics_data, self._spreads), timeout_millis, **kwargs)


class Pushed(PeriodicExportingMetricReader):
    """The SDK's periodic reader, which is given our histograms too."""

    def __init__(self, exporter: MetricExporter, **options: Any) -> None:
        preferred = exporter._preferred_temporality or {}
        self._spreads = Spreads(preferred.get(HistogramKind, AggregationTemporality.CUMULATIVE))
        super().__init__(exporter, **options)

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        super()._receive_metrics(with_histograms(metrics_data, self._spreads), timeout_millis, **kwargs)


def with_histograms(data: MetricsData, spreads: Spreads) -> MetricsData:
    """What the SDK collected, with our histograms beside its sums and gauges. It has always something: `headrace.bus.connected`."""
    now_ns = time_ns()
    spread = [found for instrument in metrics.INSTRUMENTS if isinstance(instrument, Histogram) and (found := spreads.of(instrument, now_ns))]
    first = data.resource_metrics[0]
    scope = first.scope_metrics[0]
    whole = replace(first, scope_metrics=[replace(scope, metrics=[*scope.metrics, *spread]), *first.scope_metrics[1:]])
    return replace(data, resource_metrics=[whole, *data.resource_metrics[1:]])
