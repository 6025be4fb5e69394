"""What leaves a process: by OTLP in both protocols, and for Prometheus; nothing where the environment says so."""

import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from observability import exporting, metrics, tracing
from observability.exporting import configure_metrics, exposition, shutdown_metrics, wanted
from observability.resource import resource
from observability.tracing import enter, received, span
from tests.support.metrics import samples
from tests.support.otlp import Received, attributes, grpc_receiver, http_receiver, silent_collector
from tests.support.recorder import recorder

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SAMPLED, UNSAMPLED = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}, {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-00"}


@pytest.fixture(autouse=True)
def _off_afterwards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("OTEL_SDK_DISABLED", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_METRICS_EXPORTER", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
    yield
    shutdown_metrics()


def until(check: Callable[[], Any], within_s: float = 20) -> Any:
    deadline = time.monotonic() + within_s
    while not (found := check()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)
    return found


def point_of(receiver: Received, name: str, kind: str) -> Any:
    """The only point of a metric in the newest export that has it."""
    [point] = getattr(until(lambda: receiver.metrics(name))[-1], kind).data_points
    return point


def record() -> None:
    metrics.ATTEMPTS.add(3, "fake", "small", "bulk", "answered")
    metrics.COST_USD.add(Decimal("0.1"), "acme", "fake", "small", "usage")
    metrics.COST_USD.add(Decimal("0.2"), "acme", "fake", "small", "usage")
    metrics.QUEUE_WAIT.record(0.3, "REQUESTS", "bulk")
    metrics.QUEUE_WAIT.record(700.0, "REQUESTS", "bulk")
    metrics.QUEUE_WAIT.record(0.001, "REQUESTS", "bulk")


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_counters_gauges_and_histograms_arrive_by_otlp(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with grpc_receiver() if protocol == "grpc" else http_receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        configure_metrics("router", scraped=False)
        metrics.CALLS_IN_FLIGHT.add(1, "fake", "bulk")
        record()
        until(lambda: [each for each in receiver.metrics("headrace.queue.wait") if each.histogram.data_points[0].count == 3])
        attempts = point_of(receiver, "headrace.attempts", "sum")
        assert (attempts.as_int, attributes(attempts)) == (3, {"provider": "fake", "model": "small", "lane": "bulk", "outcome": "answered"})
        assert point_of(receiver, "headrace.cost.usd", "sum").as_double == 0.3, "decimals are added, not floats"
        assert point_of(receiver, "headrace.calls.in_flight", "gauge").as_int == 1
        waits = point_of(receiver, "headrace.queue.wait", "histogram")
        assert (waits.count, waits.sum, tuple(waits.explicit_bounds)) == (3, pytest.approx(700.301), metrics.SECONDS)
        assert [waits.bucket_counts[at] for at in (0, 8, 18)] == [1, 1, 1], "each bound is part of the bucket that it ends"
        assert receiver.resource()["service.name"] == "headrace-router"
        assert receiver.resource()["service.instance.id"]


def test_what_was_recorded_last_is_sent_when_a_process_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    with http_receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", f"{receiver.endpoint}/v1/metrics")
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "600000")
        configure_metrics("router", scraped=False)
        record()
        shutdown_metrics()
        assert receiver.metrics("headrace.queue.wait") and receiver.metrics("headrace.attempts")
        assert not metrics.recorded()


def test_a_backend_that_wants_deltas_gets_what_came_since_the_export_before(monkeypatch: pytest.MonkeyPatch) -> None:
    with http_receiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
        configure_metrics("router", scraped=False)
        record()
        until(lambda: receiver.metrics("headrace.queue.wait"))
        metrics.QUEUE_WAIT.record(2.0, "REQUESTS", "bulk")
        until(lambda: sum(point.count for each in receiver.metrics("headrace.queue.wait") for point in each.histogram.data_points) >= 4)
        found = receiver.metrics("headrace.queue.wait")
        assert {each.histogram.aggregation_temporality for each in found} == {AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA}
        points = [each.histogram.data_points[0] for each in found]
        assert sum(point.count for point in points) == 4
        assert sum(point.sum for point in points) == pytest.approx(702.301)
        assert all(later.start_time_unix_nano == earlier.time_unix_nano for earlier, later in pairwise(points))


def test_histograms_of_sampled_requests_carry_their_trace_and_those_of_others_none(monkeypatch: pytest.MonkeyPatch) -> None:
    before = tracing._recorder
    tracing.record_with(recorder(InMemorySpanExporter()))
    try:
        with http_receiver() as receiver:
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
            configure_metrics("router", scraped=False)
            metrics.BUS_CONNECTED.source = lambda: {(): 1}
            enter(received(UNSAMPLED))
            metrics.QUEUE_WAIT.record(0.002, "REQUESTS", "bulk")
            enter(received(SAMPLED))
            with span("process request", "consumer") as current:
                assert current is not None
                metrics.QUEUE_WAIT.record(0.3, "REQUESTS", "bulk")
            [example] = until(lambda: _examples(receiver))
            assert example.trace_id.hex() == TRACE
            assert int.from_bytes(example.span_id, "big") == current.get_span_context().span_id
            assert example.as_double == 0.3
    finally:
        tracing.record_with(before)


def _examples(receiver: Received) -> list[Any]:
    found = receiver.metrics("headrace.queue.wait")
    return list(found[-1].histogram.data_points[0].exemplars) if found else []


def test_prometheus_reads_the_names_and_values_that_the_page_promises() -> None:
    configure_metrics("meter", scraped=True)
    record()
    metrics.PROMPT_CACHE_FALLBACKS.add(1, "placing")
    metrics.STREAM_BYTES.source = lambda: {("CALLS",): 5}
    text = (exposition() or b"").decode()
    series = samples(text)
    assert series["headrace_cost_usd_total", frozenset({("tenant", "acme"), ("provider", "fake"), ("model", "small"), ("basis", "usage")})] == 0.3
    assert series["headrace_queue_wait_seconds_count", frozenset({("stream", "REQUESTS"), ("lane", "bulk")})] == 3
    assert series["llm_optimizer_fallback_total", frozenset({("stage", "placing")})] == 1
    assert series["headrace_stream_bytes", frozenset({("stream", "CALLS")})] == 5
    assert 'service_name="headrace-meter"' in text


def test_more_series_than_the_sdk_keeps_by_itself_are_all_told() -> None:
    configure_metrics("meter", scraped=True)
    for number in range(3000):
        metrics.TOKENS_METERED.add(1, f"tenant-{number}", "fake", "small", "input")
    assert len([name for name, _ in samples((exposition() or b"").decode()) if name == "headrace_tokens_total"]) == 3000


@pytest.mark.parametrize(
    ("environ", "scraped", "ways"),
    [
        ({}, False, set()),
        ({}, True, {"prometheus"}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, False, {"otlp"}),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c:4318"}, True, {"otlp", "prometheus"}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_METRICS_EXPORTER": "prometheus"}, True, {"prometheus"}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_METRICS_EXPORTER": "none"}, True, set()),
        ({"OTEL_METRICS_EXPORTER": "otlp"}, False, {"otlp"}),
        ({"OTEL_METRICS_EXPORTER": "console, otlp"}, False, {"otlp", "console"}),
        ({"OTEL_METRICS_EXPORTER": "carrier-pigeon"}, False, set()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, True, set()),
    ],
)
def test_the_environment_decides_which_ways_metrics_take(environ: dict[str, str], scraped: bool, ways: set[str]) -> None:
    assert wanted(environ, scraped=scraped) == ways


def test_nothing_is_recorded_where_nobody_asks_for_it() -> None:
    configure_metrics("router", scraped=False)
    record()
    assert not metrics.recorded() and exposition() is None and exporting._provider is None
    assert not any(instrument.series for instrument in metrics.INSTRUMENTS)


def test_names_that_the_environment_gives_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=here,service.instance.id=seven")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "theirs")
    found = resource("router").attributes
    assert (found["service.name"], found["service.instance.id"], found["deployment.environment.name"]) == ("theirs", "seven", "here")


def test_a_collector_that_is_away_or_never_answers_does_not_hold_up_the_end_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    with silent_collector() as endpoint:
        for each in (endpoint, "http://127.0.0.1:9"):
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", each)
            configure_metrics("router", scraped=False)
            record()
            time.sleep(0.3)
            began = time.monotonic()
            shutdown_metrics()
            assert time.monotonic() - began < exporting.SHUTDOWN_S + 3
