"""An open span takes what the SDK's would, keeps to its limits, and is left alone after its end."""

import logging
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, DEFAULT_OFF, DEFAULT_ON, Sampler, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState, set_span_in_context

from tests.support.recorder import recorder

ABOVE = SpanContext(5, 6, True, TraceFlags(3), TraceState([("vendor", "1")]))


def used(span: Span) -> None:
    span.set_attribute("one", 1)
    span.set_attributes({"words": ["a", "b"], "text": "x" * 50})
    span.add_event("odd", {"n": 1}, timestamp=7)
    span.add_link(ABOVE, {"why": "begun"})
    span.update_name("better")
    span.set_status(StatusCode.ERROR, "it broke")
    span.end(end_time=9)


def ours(parent: SpanContext | None = ABOVE) -> ReadableSpan:
    exporter = InMemorySpanExporter()
    used(recorder(exporter).begin("process", SpanKind.CONSUMER, 5, parent, {"first": True}))
    return exporter.get_finished_spans()[0]


def sdks(parent: SpanContext | None = ABOVE) -> ReadableSpan:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    context = None if parent is None else set_span_in_context(NonRecordingSpan(parent))
    used(provider.get_tracer("headrace").start_span("process", context, SpanKind.CONSUMER, {"first": True}))
    return exporter.get_finished_spans()[0]


def facts(span: ReadableSpan) -> dict[str, Any]:
    assert span.context is not None and span.start_time
    return {
        **{name: getattr(span, name) for name in ("name", "kind", "parent", "end_time", "dropped_attributes", "dropped_events", "dropped_links")},
        "status": (span.status.status_code, span.status.description),
        "attributes": dict(span.attributes or {}),
        "events": [(event.name, dict(event.attributes or {}), event.timestamp) for event in span.events],
        "links": [(link.context, dict(link.attributes or {})) for link in span.links],
        "context": (span.context.is_remote, span.context.trace_flags, span.context.trace_state, span.context.is_valid),
        "scope": span.instrumentation_scope.name if span.instrumentation_scope else None,
    }


@pytest.mark.parametrize("parent", [ABOVE, None])
def test_a_span_says_what_the_sdks_would_say(parent: SpanContext | None) -> None:
    assert facts(ours(parent)) == facts(sdks(parent))


@pytest.mark.parametrize(
    ("variable", "limit"),
    [
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "10"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "2"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "0"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "0"),
    ],
)
def test_the_limits_of_the_environment_hold(monkeypatch: pytest.MonkeyPatch, variable: str, limit: str) -> None:
    before = facts(ours())
    monkeypatch.setenv(variable, limit)
    assert facts(ours()) == facts(sdks()) != before


@pytest.mark.parametrize(
    ("sampler", "below", "root"),
    [(DEFAULT_ON, True, True), (DEFAULT_OFF, True, False), (ALWAYS_ON, True, True), (ALWAYS_OFF, False, False), (TraceIdRatioBased(0), False, False)],
)
def test_a_sampler_decides_on_roots_and_only_one_without_parent_overrules_a_producer(sampler: Sampler, below: bool, root: bool) -> None:
    spans = recorder(InMemorySpanExporter(), sampler)
    assert spans.begin("a", SpanKind.CONSUMER, 5, ABOVE, None).is_recording() is below
    assert spans.begin("a", SpanKind.CONSUMER, 5, None, None).is_recording() is root


def test_what_is_said_after_the_end_is_not_told_and_complained_of(monkeypatch: pytest.MonkeyPatch) -> None:
    complaints: list[str] = []
    monkeypatch.setattr(logging.getLogger("opentelemetry.headrace"), "handle", lambda record: complaints.append(record.getMessage()))
    exporter = InMemorySpanExporter()
    span = recorder(exporter).begin("process", SpanKind.CONSUMER, 5, ABOVE, {"first": True})
    assert span.is_recording()
    span.end()
    assert not span.is_recording()
    span.set_attribute("late", True)
    span.set_attributes({"late": True})
    span.set_status(Status(StatusCode.ERROR))
    span.end()
    [one] = exporter.get_finished_spans()
    assert (dict(one.attributes or {}), one.status.status_code) == ({"first": True}, StatusCode.UNSET)
    assert complaints == ["A span was changed after its end: process"] * 4


def test_an_exception_leaves_its_type_and_none_of_its_words() -> None:
    exporter = InMemorySpanExporter()
    span = recorder(exporter).begin("process", SpanKind.CONSUMER, 5, ABOVE, None)
    span.record_exception(ValueError("a prompt"))
    span.end()
    assert "a prompt" not in exporter.get_finished_spans()[0].to_json()
