"""What is written byte by byte is what the SDK's own encoding says of the same spans."""

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState, set_span_in_context

from observability import encoding
from observability.encoding import Encoder

VALUES: list[Any] = [
    *("", "plain", "ä€🙂", "x" * 127, "x" * 128, "x" * 40_000),
    *(0, 1, 127, 128, 300, 1 << 40, (1 << 63) - 1, -1, -(1 << 63)),
    *(0.0, -1.5, 1e300, True, False, b"\x00\xff", ("a", "b"), (1, 2), (True,), (0.5,), ()),
]


@pytest.fixture
def made() -> Iterator[tuple[TracerProvider, InMemorySpanExporter]]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(
        resource=Resource.create({"service.name": "ours", "many": ["a", "b"]}, "https://schema"),
        span_limits=SpanLimits(max_attributes=40),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider, exporter
    provider.shutdown()


def told(export: ExportTraceServiceRequest) -> list[Any]:
    """Every span with whose it is, however they stand together."""
    return [(of.resource, of.schema_url, by.scope, by.schema_url, span) for of in export.resource_spans for by in of.scope_spans for span in by.spans]


def same(spans: list[ReadableSpan], encoder: Encoder) -> bool:
    ours = told(ExportTraceServiceRequest.FromString(encoder.request(spans)))
    return len(ours) == len(spans) and ours == told(encode_spans(spans))


def test_every_kind_of_value_is_told_as_it_is_the_first_time_and_the_next(made: tuple[TracerProvider, InMemorySpanExporter]) -> None:
    provider, exporter = made
    provider.get_tracer("headrace", "1").start_span("a", attributes={f"n{number}": value for number, value in enumerate(VALUES)}).end()
    spans, encoder = list(exporter.get_finished_spans()), Encoder()
    assert same(spans, encoder) and same(spans, encoder)


def test_what_few_spans_have_is_told_too(made: tuple[TracerProvider, InMemorySpanExporter]) -> None:
    provider, exporter = made
    tracer = provider.get_tracer("headrace")
    above = SpanContext(5, 6, True, TraceFlags(1), TraceState([("vendor", "1")]))
    with tracer.start_as_current_span("process ö", set_span_in_context(NonRecordingSpan(above)), SpanKind.CONSUMER) as span:
        span.add_link(above, {"why": "begun"})
        span.add_event("odd", {"n": 1, "many": ["a"]})
        span.set_attributes({f"n{number}": number for number in range(50)})
        for kind in SpanKind:
            tracer.start_span("below", kind=kind).end()
        span.set_status(StatusCode.ERROR, "it broke")
    tracer.start_span("good").set_status(StatusCode.OK)
    assert same(list(exporter.get_finished_spans()), Encoder())


def test_spans_of_other_scopes_and_resources_stay_theirs(made: tuple[TracerProvider, InMemorySpanExporter]) -> None:
    provider, exporter = made
    provider.get_tracer("one").start_span("a").end()
    provider.get_tracer("two", "2", attributes={"a": "b"}).start_span("b").end()
    spans = [*exporter.get_finished_spans(), ReadableSpan("c", context=SpanContext(1, 2, False), resource=Resource({"service.name": "other"}), start_time=1)]
    assert same(spans, Encoder())


def test_what_is_remembered_has_a_bound(made: tuple[TracerProvider, InMemorySpanExporter], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "MOST", 10)
    provider, exporter = made
    for number in range(100):
        provider.get_tracer("one").start_span("a", attributes={f"name{number}": f"value{number}", "long": "x" * 1000}).end()
    encoder = Encoder()
    assert same(list(exporter.get_finished_spans()), encoder)
    assert max(len(encoder._pairs), len(encoder._names)) <= 10
