"""One trace per request: the context comes in by header, each hop is a child of the hop before, unsampled hops only copy the header."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from random import getrandbits
from typing import Literal, NamedTuple

from opentelemetry import trace as otel
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags

TRACEPARENT = re.compile(r"^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})\Z")
TRACEPARENT_LINE = b"\r\ntraceparent: 00-"
OWN_TRACEPARENT = re.compile(rb"\r\ntraceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})\r\n")
NO_TRACE, NO_SPAN = b"0" * 32, b"0" * 16
Kind = Literal["consumer", "producer", "client"]
KINDS: Mapping[Kind, SpanKind] = {"consumer": SpanKind.CONSUMER, "producer": SpanKind.PRODUCER, "client": SpanKind.CLIENT}


class Trace(NamedTuple):
    """A W3C trace context."""

    trace_id: str
    span_id: str
    flags: int
    tracestate: str | None = None
    begun_here: bool = False
    """No producer began it: the first span is its root, and the sampler decides."""

    @property
    def sampled(self) -> bool:
        return bool(self.flags & 1)

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"

    def headers(self) -> dict[str, str]:
        return {"traceparent": self.traceparent, "tracestate": self.tracestate} if self.tracestate else {"traceparent": self.traceparent}

    def lines(self) -> str:
        """The same as lines of a header block; a tracestate that would begin another line is left out."""
        line = f"traceparent: {self.traceparent}\r\n"
        return line if not self.tracestate or not self.tracestate.isprintable() else f"{line}tracestate: {self.tracestate}\r\n"


_current: ContextVar[Trace | None] = ContextVar("headrace_trace", default=None)
_tracer: otel.Tracer | None = None
_provider: TracerProvider | None = None


def current_trace() -> Trace | None:
    return _current.get()


def enter(trace: Trace) -> None:
    """Make a trace the current one of this task."""
    _current.set(trace)


def configure_tracing(service: str) -> None:
    """Export spans by OTLP over HTTP when OTEL_EXPORTER_OTLP_ENDPOINT (or its _TRACES_ form) is set; sampling by OTEL_TRACES_SAMPLER."""
    global _tracer, _provider
    endpoint = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if not endpoint or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    _provider = TracerProvider(resource=Resource.create({"service.name": f"headrace-{service}"}))
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _tracer = _provider.get_tracer("headrace")


def shutdown_tracing() -> None:
    """Send what is still buffered."""
    if _provider is not None:
        _provider.shutdown()


def carried(header_block: bytes) -> Trace | None:
    """The trace in a block of headers that has one and no tracestate, as our own messages do; found without reading the others."""
    at = header_block.find(TRACEPARENT_LINE)
    match = OWN_TRACEPARENT.match(header_block, at) if at >= 0 else None
    if match is None or b"tracestate" in header_block:
        return None
    trace_id, span_id, flags = match.groups()
    return Trace(trace_id.decode(), span_id.decode(), int(flags, 16)) if trace_id != NO_TRACE and span_id != NO_SPAN else None


def received(headers: Mapping[str, str]) -> Trace:
    """The trace that a message belongs to; a new one where its producer began none."""
    match = TRACEPARENT.match(headers.get("traceparent", ""))
    if match is None or match[1] == "0" * 32 or match[2] == "0" * 16:
        return Trace(f"{getrandbits(128):032x}", f"{getrandbits(64):016x}", int(_tracer is not None), begun_here=True)
    return Trace(match[1], match[2], int(match[3], 16), headers.get("tracestate"))


def recording() -> bool:
    """Whether a span begun now would be kept: something exports, and the current trace is sampled."""
    trace = _current.get()
    return _tracer is not None and trace is not None and trace.sampled


def _remote(trace: Trace) -> SpanContext:
    return SpanContext(int(trace.trace_id, 16), int(trace.span_id, 16), is_remote=True, trace_flags=TraceFlags(trace.flags))


@contextmanager
def span(name: str, kind: Kind, attributes: Mapping[str, str | int | float | bool] | None = None) -> Iterator[otel.Span | None]:
    """A span under the current trace, current itself while it lasts. None (and no cost) where the trace is not sampled or nothing exports."""
    parent = _current.get()
    if _tracer is None or parent is None or not parent.sampled:
        yield None
        return
    context = Context() if parent.begun_here else otel.set_span_in_context(NonRecordingSpan(_remote(parent)), Context())
    recording = _tracer.start_span(name, context, KINDS[kind], attributes=dict(attributes or {}))
    own = recording.get_span_context()
    token = _current.set(Trace(f"{own.trace_id:032x}", f"{own.span_id:016x}", int(own.trace_flags), parent.tracestate))
    try:
        yield recording
    except BaseException as error:
        recording.set_status(StatusCode.ERROR, type(error).__name__)
        recording.set_attribute("error.type", type(error).__name__)
        raise
    finally:
        _current.reset(token)
        recording.end()
