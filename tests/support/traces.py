"""Traces in a test: a producer and a consumer with the plain OpenTelemetry SDK, and a trace drawn as lines."""

from collections.abc import Mapping
from typing import Any

from nats.aio.msg import Msg
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tests.support.client import Outsider
from tests.support.collector import Seen

W3C = TraceContextTextMapPropagator()


class Observed:
    """Somebody else's program: sends requests under spans of its own, and reads results under spans that hang on theirs."""

    def __init__(self, outsider: Outsider, collector_url: str) -> None:
        self.outsider = outsider
        self.provider = TracerProvider(resource=Resource.create({"service.name": "theirs", "service.instance.id": "theirs-1"}), shutdown_on_exit=False)
        self.provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{collector_url}/v1/traces"), schedule_delay_millis=100))
        self.tracer = self.provider.get_tracer("theirs")
        self.traces: dict[str, str] = {}
        """Trace ids by what was sent."""
        self.sequences: dict[str, int] = {}
        self.results: dict[str, Mapping[str, str]] = {}
        """The headers of each result."""

    async def listen(self) -> None:
        await self.outsider.nc.subscribe("llm.v1.result.>", cb=self._read)
        await self.outsider.nc.flush()

    async def _read(self, message: Msg) -> None:
        request_id, headers = message.subject.split(".")[-1], message.headers or {}
        self.results[request_id] = headers
        with self.tracer.start_as_current_span("read result", W3C.extract(headers), SpanKind.CONSUMER):
            pass

    async def ask(self, request_id: str, text: str, **fields: Any) -> int:
        body = {"id": request_id, "messages": [{"role": "user", "content": text}], **fields}
        return await self.send(request_id, body)

    async def send(self, name: str, body: Any, tenant: str = "acme") -> int:
        with self.tracer.start_as_current_span("produce", kind=SpanKind.PRODUCER) as span:
            self.traces[name] = f"{span.get_span_context().trace_id:032x}"
            self.sequences[name] = await self.outsider.request(body, tenant, headers=self.headers())
            return self.sequences[name]

    def headers(self) -> dict[str, str]:
        carrier: dict[str, str] = {}
        W3C.inject(carrier)
        return carrier


def drawn(spans: list[Seen]) -> list[str]:
    """A trace as lines, each indented below its parent; children in the order of their names."""
    known = {span.span_id for span in spans}
    lines: list[str] = []

    def draw(parent_id: str, depth: int) -> None:
        for span in sorted((span for span in spans if span.parent_id == parent_id), key=lambda span: (label(span), span.began)):
            lines.append("  " * depth + label(span))
            draw(span.span_id, depth + 1)

    for root in sorted({span.parent_id for span in spans} - known):
        draw(root, 0)
    return lines


def label(span: Seen) -> str:
    """Its operation, its subject without root and version, who processed it, how it failed; a redelivery by its number."""
    subject = span.facts.get("messaging.destination.name", "").removeprefix("llm.v1.")
    words = [span.name.partition(" ")[0], subject] if subject else [span.name]
    if span.kind == "consumer" and subject:
        words.append(f"by {span.service.removeprefix('headrace-')}")
    if span.facts.get("messaging.nats.message.delivery_count", 1) > 1:
        words.append(f"again {span.facts['messaging.nats.message.delivery_count']}")
    return " ".join(words) + (f" !{span.facts['error.type']}" if span.failed else "")
