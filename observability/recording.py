"""Spans while they are open: as little as our few kinds of use need, without the SDK's locks and copies. What is handed on is the SDK's own kind."""

import logging
from collections.abc import Mapping, Sequence
from random import getrandbits
from time import time_ns
from typing import Any

from opentelemetry import trace as otel
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.types import Attributes, AttributeValue

from observability.trees import WholeTrees

Facts = Mapping[str, AttributeValue]

logger = logging.getLogger("opentelemetry.headrace")  # where the SDK complains too, and is kept from doing so too often

RECORDED = TraceFlags(TraceFlags.SAMPLED)
RANDOM = TraceFlags(TraceFlags.SAMPLED | TraceFlags.RANDOM_TRACE_ID)
NOT_RECORDED = TraceFlags(TraceFlags.DEFAULT)
UNSET = Status(StatusCode.UNSET)


class Recorder:
    """Begins spans, asks the sampler where it has a say, and hands ended ones on in whole trees."""

    def __init__(self, onward: Sequence[WholeTrees], sampler: Sampler, resource: Resource) -> None:
        self.onward, self.sampler, self.resource = tuple(onward), sampler, resource
        self.scope = InstrumentationScope("headrace")
        self.limits = SpanLimits()
        self._producer_decides = isinstance(sampler, ParentBased)

    def begin(self, name: str, kind: SpanKind, trace_id: int, parent: SpanContext | None, facts: Facts | None) -> otel.Span:
        """A span below `parent`, which is sampled, or the root of a new trace; one that records nothing where the sampler says so."""
        random = parent is None or parent.trace_flags.random_trace_id
        state = None if parent is None else parent.trace_state
        span_id = getrandbits(64) or 1
        if (parent is None or not self._producer_decides) and not self._sampled(trace_id, name, kind, parent, facts):
            return NonRecordingSpan(SpanContext(trace_id, span_id, False, NOT_RECORDED, state))
        return Recorded(self, name, kind, SpanContext(trace_id, span_id, False, RANDOM if random else RECORDED, state), parent, facts)

    def shutdown(self) -> None:
        for trees in self.onward:
            trees.shutdown()

    def _sampled(self, trace_id: int, name: str, kind: SpanKind, parent: SpanContext | None, facts: Facts | None) -> bool:
        above = Context() if parent is None else otel.set_span_in_context(NonRecordingSpan(parent), Context())
        return self.sampler.should_sample(above, trace_id, name, kind, facts).decision is Decision.RECORD_AND_SAMPLE


class Recorded(otel.Span):
    """An open span. Belongs to the thread of the event loop."""

    __slots__ = ("_began_ns", "_context", "_events", "_facts", "_kind", "_links", "_name", "_open", "_parent", "_recorder", "_status")

    def __init__(self, recorder: Recorder, name: str, kind: SpanKind, context: SpanContext, parent: SpanContext | None, facts: Facts | None) -> None:
        self._recorder, self._name, self._kind, self._context, self._parent = recorder, name, kind, context, parent
        self._facts: dict[str, Any] = {} if facts is None else dict(facts)
        self._events: list[Event] = []
        self._links: list[Link] = []
        self._status, self._open, self._began_ns = UNSET, True, time_ns()
        for trees in recorder.onward:
            trees.begun(context, parent)

    def get_span_context(self) -> SpanContext:
        return self._context

    def is_recording(self) -> bool:
        return self._open

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        if self._may_change():
            self._facts.update(attributes)

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        if self._may_change():
            self._facts[key] = value

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        if self._may_change():
            self._events.append(Event(name, attributes, timestamp))

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        if self._may_change():
            self._links.append(Link(context, attributes))

    def update_name(self, name: str) -> None:
        if self._may_change():
            self._name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        if self._may_change():
            self._status = status if isinstance(status, Status) else Status(status, description)

    def record_exception(self, exception: BaseException, attributes: Attributes = None, timestamp: int | None = None, escaped: bool = False) -> None:
        """Its type alone: its words might repeat a prompt."""
        self.add_event("exception", {"exception.type": type(exception).__name__, **(attributes or {})}, timestamp)

    def end(self, end_time: int | None = None) -> None:
        if not self._may_change():
            return
        self._open = False
        recorder = self._recorder
        ended = ReadableSpan(
            name=self._name,
            context=self._context,
            parent=self._parent,
            resource=recorder.resource,
            attributes=self._kept(recorder.limits),
            events=self._events and BoundedList.from_seq(recorder.limits.max_events, self._events),
            links=self._links and BoundedList.from_seq(recorder.limits.max_links, self._links),
            kind=self._kind,
            status=self._status,
            start_time=self._began_ns,
            end_time=time_ns() if end_time is None else end_time,
            instrumentation_scope=recorder.scope,
        )
        for trees in recorder.onward:
            trees.ended(ended)

    def _may_change(self) -> bool:
        if not self._open:
            logger.warning("A span was changed after its end: %s", self._name)
        return self._open

    def _kept(self, limits: SpanLimits) -> Mapping[str, AttributeValue]:
        """The attributes as they are, unless they are more or longer than the environment's limits say."""
        facts = self._facts
        if list in map(type, facts.values()):
            facts = {name: tuple(value) if type(value) is list else value for name, value in facts.items()}
        if limits.max_span_attribute_length is None and (limits.max_span_attributes is None or len(facts) <= limits.max_span_attributes):
            return facts
        return BoundedAttributes(limits.max_span_attributes, facts, max_value_len=limits.max_span_attribute_length)
