"""What a sampled span costs, step by step, in µs of CPU; and what the SDK's own tracer and encoding would take for the same: `python -m bench.spans`."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlparse

from opentelemetry import trace as otel
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import DEFAULT_ON
from opentelemetry.trace import SpanContext, SpanKind

from bus.delivery import Delivery
from bus.subjects import Subjects
from bus.telemetry import processing, publishing, settled, stored
from observability.encoding import Encoder
from observability.over_http import OverHttp
from observability.recording import Recorder
from observability.resource import resource
from observability.span_redaction import Redacting
from observability.tracing import enter, received, record_with
from observability.trees import WholeTrees
from tests.support.otlp import http_receiver

HOPS, BATCH, ROUNDS = 2_560, 512, 7
SPANS = 2 * HOPS
SUBJECTS, SERVER = Subjects(), urlparse("nats://127.0.0.1:4222")
SAMPLED = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}


class Kept(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


class Nothing(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:
        return SpanExportResult.SUCCESS


class Theirs:
    """The SDK's tracer in the place of ours."""

    def __init__(self, onward: SpanProcessor) -> None:
        provider = TracerProvider(resource=resource("bench"), shutdown_on_exit=False)
        provider.add_span_processor(onward)
        self._tracer = provider.get_tracer("headrace")

    def begin(self, name: str, kind: SpanKind, trace_id: int, parent: SpanContext | None, facts: Any) -> otel.Span:
        above = otel.set_span_in_context(otel.NonRecordingSpan(parent)) if parent else None
        return self._tracer.start_span(name, above, kind, facts)


def hops(name: str) -> None:
    """As a router's: a delivery is processed, and a message is published while it is."""
    now = datetime.now(UTC)
    for number in range(HOPS):
        request_id = f"{name}-{number:06d}"
        delivery = Delivery(SUBJECTS.attempt("answered", "standard", "acme", request_id, 1), [], b"x" * 900, {}, "ATTEMPTS", number, 1, now, "", "router")
        enter(received(SAMPLED))
        with processing(SUBJECTS, SERVER, delivery, "router"):
            with publishing(SUBJECTS, SERVER, SUBJECTS.settle("acme", request_id), 700, {}):
                stored("SETTLE", number)
            settled("acknowledged")


def best(step: Callable[[list[ReadableSpan]], Any], recorded: Callable[[str], list[ReadableSpan]] | None = None) -> float:
    """µs of this thread's CPU a span: whatever else the machine does only adds. Every round has requests of its own."""
    took_s = []
    for number in range(ROUNDS):
        spans = [] if recorded is None else recorded(f"round-{number}")
        before = time.thread_time()
        step(spans)
        took_s.append(time.thread_time() - before)
    return round(min(took_s) / SPANS * 1e6, 1)


def begun_by(recorder_of: Callable[[SpanProcessor], Any], onward: SpanProcessor) -> Callable[[Any], None]:
    names = (f"hop-{number}" for number in range(ROUNDS))

    def step(_: Any) -> None:
        record_with(recorder_of(onward))
        hops(next(names))
        record_with(None)

    return step


def ours(onward: SpanProcessor) -> Recorder:
    return Recorder([WholeTrees(onward)], DEFAULT_ON, resource("bench"))


def spans_of(name: str) -> list[ReadableSpan]:
    """A round's spans, as they leave."""
    kept = Kept()
    record_with(ours(kept))
    hops(name)
    record_with(None)
    return kept.spans


def in_batches(work: Callable[[list[ReadableSpan]], Any]) -> Callable[[list[ReadableSpan]], None]:
    def step(spans: list[ReadableSpan]) -> None:
        for at in range(0, len(spans), BATCH):
            work(spans[at : at + BATCH])

    return step


def measured() -> dict[str, float]:
    encoder, redacting = Encoder(), Redacting(Nothing())
    with http_receiver() as receiver:
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = receiver.endpoint
        http = OverHttp()
        figures = {
            "deliveries and facts, nobody records": best(begun_by(lambda _: None, Kept())),
            "the same, recorded": best(begun_by(ours, Kept())),
            "the same, recorded and queued": best(begun_by(ours, BatchSpanProcessor(Nothing(), 1 << 20, 600_000, 1 << 20))),
            "the same, recorded by the SDK": best(begun_by(Theirs, Kept())),
            "looked at for secrets": best(in_batches(redacting.export), spans_of),
            "encoded": best(in_batches(encoder.request), spans_of),
            "encoded by the SDK": best(in_batches(lambda spans: encode_spans(spans).SerializeToString()), spans_of),
            "encoded and sent": best(in_batches(http.export), spans_of),
        }
        http.shutdown()  # type: ignore[no-untyped-call]  # the SDK's
    return figures


if __name__ == "__main__":
    for what, took_us in measured().items():
        print(f"{took_us:8.1f} µs a span  {what}")
