"""One trace per request: the context comes in by header, each hop is a child of the hop before, unsampled hops only copy the header."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from random import getrandbits
from types import TracebackType
from typing import Literal, NamedTuple, Protocol

from opentelemetry import trace as otel
from opentelemetry.trace import SpanContext, SpanKind, StatusCode, TraceFlags, TraceState

TRACEPARENT = re.compile(r"^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})\Z")
TRACEPARENT_LINE = b"\r\ntraceparent: 00-"
OWN_TRACEPARENT = re.compile(rb"\r\ntraceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})\r\n")
NO_TRACE, NO_SPAN = b"0" * 32, b"0" * 16
Kind = Literal["consumer", "producer", "client"]
Fact = str | int | float | bool | Sequence[str]
Facts = Mapping[str, Fact]
KINDS: Mapping[Kind, SpanKind] = {"consumer": SpanKind.CONSUMER, "producer": SpanKind.PRODUCER, "client": SpanKind.CLIENT}


class Trace(NamedTuple):
    """A W3C trace context."""

    trace_id: str
    span_id: str
    flags: int
    tracestate: str | None = None
    begun_here: bool = False
    """No producer began it: the first span is its root, and the sampler decides."""
    live: otel.Span | None = None
    """The span of this process that is open now."""

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


class Recorder(Protocol):
    """Who makes spans; `recording` has the one that is used."""

    def begin(self, name: str, kind: SpanKind, trace_id: int, parent: SpanContext | None, facts: Facts | None) -> otel.Span: ...


_current: ContextVar[Trace | None] = ContextVar("headrace_trace", default=None)
_recorder: Recorder | None = None


def record_with(recorder: Recorder | None) -> None:
    """From now on sampled spans are made by this recorder; by none: nothing is recorded."""
    global _recorder
    _recorder = recorder


def current_trace() -> Trace | None:
    return _current.get()


def enter(trace: Trace) -> None:
    """Make a trace the current one of this task."""
    _current.set(trace)


@contextmanager
def continued(headers: Mapping[str, str]) -> Iterator[None]:
    """For work that no delivery began: go on in the trace of a stored message, where it has one."""
    trace = told(headers)
    if trace is None:
        yield
        return
    token = _current.set(trace)
    try:
        yield
    finally:
        _current.reset(token)


def carried(header_block: bytes) -> Trace | None:
    """The trace in a block of headers that has one and no tracestate, as our own messages do; found without reading the others."""
    at = header_block.find(TRACEPARENT_LINE)
    match = OWN_TRACEPARENT.match(header_block, at) if at >= 0 else None
    if match is None or b"tracestate" in header_block:
        return None
    trace_id, span_id, flags = match.groups()
    return Trace(trace_id.decode(), span_id.decode(), int(flags, 16)) if trace_id != NO_TRACE and span_id != NO_SPAN else None


def told(headers: Mapping[str, str]) -> Trace | None:
    """The trace that headers name, if they name one."""
    match = TRACEPARENT.match(headers.get("traceparent", ""))
    if match is None or match[1] == "0" * 32 or match[2] == "0" * 16:
        return None
    return Trace(match[1], match[2], int(match[3], 16), headers.get("tracestate"))


def received(headers: Mapping[str, str]) -> Trace:
    """The trace that a message belongs to; a new one where its producer began none."""
    return told(headers) or Trace(f"{getrandbits(128):032x}", f"{getrandbits(64):016x}", int(_recorder is not None), begun_here=True)


def of_caller() -> dict[str, str]:
    """The headers of the OpenTelemetry span that is open in a program which uses us; none where it has none."""
    context = otel.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return Trace(f"{context.trace_id:032x}", f"{context.span_id:016x}", int(context.trace_flags), context.trace_state.to_header() or None).headers()


def recording() -> bool:
    """Whether a span begun now would be kept: something exports, and the current trace is sampled."""
    trace = _current.get()
    return _recorder is not None and trace is not None and trace.sampled


def annotate(facts: Facts) -> None:
    """More about what the open span stands for."""
    trace = _current.get()
    if trace is not None and trace.live is not None:
        trace.live.set_attributes(facts)


def failed(error_type: str) -> None:
    """What the open span stands for has failed. `error_type`: one of few, never a text that might repeat a prompt."""
    trace = _current.get()
    if trace is not None and trace.live is not None:
        _fail(trace.live, error_type)


def link(headers: Mapping[str, str], why: str) -> None:
    """The open span has a second cause: the span whose context these headers carry."""
    trace = _current.get()
    other = told(headers) if trace is not None and trace.live is not None else None
    if trace is not None and trace.live is not None and other is not None and other.span_id != trace.span_id:
        trace.live.add_link(_remote(other), {"headrace.link": why})


def _fail(span: otel.Span, error_type: str) -> None:
    span.set_status(StatusCode.ERROR)
    span.set_attribute("error.type", error_type)


def _remote(trace: Trace) -> SpanContext:
    state = TraceState.from_header([trace.tracestate]) if trace.tracestate else None
    return SpanContext(int(trace.trace_id, 16), int(trace.span_id, 16), is_remote=True, trace_flags=TraceFlags(trace.flags), trace_state=state)


def span(name: str, kind: Kind, facts: Facts | None = None, *, expected: tuple[type[BaseException], ...] = ()) -> "Spanned":
    """A span under the current trace, current itself while it lasts. None (and no cost) where the trace is not sampled or nothing exports.

    `expected`: exceptions by which it may end without having failed.
    """
    return Spanned(name, KINDS[kind], facts, expected)


class Spanned:
    """What `span` gives to a `with`."""

    __slots__ = ("_begun", "_expected", "_facts", "_kind", "_name", "_token")

    def __init__(self, name: str, kind: SpanKind, facts: Facts | None, expected: tuple[type[BaseException], ...]) -> None:
        self._name, self._kind, self._facts, self._expected = name, kind, facts, expected
        self._begun: otel.Span | None = None

    def __enter__(self) -> otel.Span | None:
        parent = _current.get()
        if _recorder is None or parent is None or not parent.flags & 1:
            return None
        above = None if parent.begun_here else _remote(parent) if parent.live is None else parent.live.get_span_context()
        begun = _recorder.begin(self._name, self._kind, int(parent.trace_id, 16) if above is None else above.trace_id, above, self._facts)
        own = begun.get_span_context()
        live = begun if begun.is_recording() else None
        self._token = _current.set(Trace(parent.trace_id, f"{own.span_id:016x}", int(own.trace_flags), parent.tracestate, live=live))
        self._begun = begun
        return begun

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        begun = self._begun
        if begun is None:
            return
        if error is not None and not isinstance(error, self._expected):
            _fail(begun, type(error).__name__)
        _current.reset(self._token)
        begun.end()
