"""Spans as OTLP's protobuf, written byte by byte: most of a span stood in the span before, and is not encoded again.

Events, links and rare kinds of values are left to the generated classes. Encodings of parts of a message, one after the other, are the encoding of the whole.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from struct import pack
from typing import Any

import structlog
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

log = structlog.get_logger()

MOST, LONGEST = 4096, 128
"""Names and values that come again are remembered: so many, each so long at most."""
KINDS: Mapping[SpanKind, bytes] = {kind: bytes((0x30, kind.value + 1)) for kind in SpanKind}
STATUSES: Mapping[StatusCode, bytes] = {code: bytes((0x7A, 2, 0x18, code.value)) for code in StatusCode}
LOCAL, REMOTE = 0x100, 0x300
"""Flags: it is known whether the parent is another process's, and whether it is."""


class Encoder:
    """Belongs to one thread, and remembers."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[str, Any], bytes] = {}
        self._names: dict[str, bytes] = {}

    def request(self, spans: Sequence[ReadableSpan]) -> bytes:
        """The body of an export. Spans of one resource and scope stand together, which is all of them here."""
        groups = [list(group) for _, group in groupby(spans, lambda span: (id(span.resource), id(span.instrumentation_scope)))]
        return b"".join(_part(0x0A, _resource(group[0]) + _part(0x12, _scope(group[0]) + b"".join(map(self._span, group)))) for group in groups)

    def _span(self, span: ReadableSpan) -> bytes:
        context, parent = span.context, span.parent
        if context is None:
            return b""
        told = [
            b"\x0a\x10" + context.trace_id.to_bytes(16, "big") + b"\x12\x08" + context.span_id.to_bytes(8, "big"),
            b"" if parent is None else b"\x22\x08" + parent.span_id.to_bytes(8, "big"),
            _text(0x1A, context.trace_state.to_header()) if context.trace_state else b"",
            _text(0x2A, span.name),
            KINDS[span.kind],
            pack("<BQBQ", 0x39, span.start_time or 0, 0x41, span.end_time or 0),
            STATUSES[span.status.status_code],
            pack("<HI", 0x0185, _flags(parent)),
        ]
        known = self._pairs.get
        told += [known(pair) or self._pair(*pair) for pair in (span.attributes or {}).items()]
        if span.events or span.links or span.status.description or span.dropped_attributes:
            told.append(_rest(span))
        return _part(0x12, b"".join(told))

    def _pair(self, name: str, value: Any) -> bytes:
        kind = type(value)
        if kind is str:
            pair = _part(0x4A, self._named(name) + _part(0x12, _text(0x0A, value)))
            if len(value) <= LONGEST:
                if len(self._pairs) >= MOST:
                    self._pairs.clear()
                self._pairs[name, value] = pair
            return pair
        if kind is int and 0 <= value < 1 << 63:
            number = _varint(value)
            return _part(0x4A, self._named(name) + bytes((0x12, len(number) + 1, 0x18)) + number)
        if kind is float:
            return _part(0x4A, self._named(name) + pack("<BBBd", 0x12, 9, 0x21, value))
        return b"".join([_part(0x4A, pair.SerializeToString()) for pair in _key_values({name: value})])

    def _named(self, name: str) -> bytes:
        named = self._names.get(name)
        if named is None:
            if len(self._names) >= MOST:
                self._names.clear()
            named = self._names[name] = _text(0x0A, name)
        return named


def _varint(number: int) -> bytes:
    if number < 0x80:
        return number.to_bytes(1, "big")
    septets = bytearray()
    while number > 0x7F:
        septets.append(number & 0x7F | 0x80)
        number >>= 7
    septets.append(number)
    return bytes(septets)


def _part(tag: int, content: bytes) -> bytes:
    size = len(content)
    return bytes((tag, size)) + content if size < 0x80 else bytes((tag,)) + _varint(size) + content


def _text(tag: int, text: str) -> bytes:
    return _part(tag, text.encode("utf-8", "replace"))


def _flags(context: SpanContext | None) -> int:
    return REMOTE if context is not None and context.is_remote else LOCAL


def _resource(span: ReadableSpan) -> bytes:
    own = Resource(attributes=_key_values(span.resource.attributes))
    return bytes(trace_pb2.ResourceSpans(resource=own, schema_url=span.resource.schema_url).SerializeToString())


def _scope(span: ReadableSpan) -> bytes:
    scope = span.instrumentation_scope
    if scope is None:
        return b""
    own = InstrumentationScope(name=scope.name, version=scope.version or "", attributes=_key_values(scope.attributes))
    return bytes(trace_pb2.ScopeSpans(scope=own, schema_url=scope.schema_url or "").SerializeToString())


def _rest(span: ReadableSpan) -> bytes:
    """What few spans have."""
    rest = trace_pb2.Span(
        events=[
            trace_pb2.Span.Event(
                name=event.name,
                time_unix_nano=event.timestamp,
                attributes=_key_values(event.attributes),
                dropped_attributes_count=event.dropped_attributes,
            )
            for event in span.events
        ],
        links=[
            trace_pb2.Span.Link(
                trace_id=link.context.trace_id.to_bytes(16, "big"),
                span_id=link.context.span_id.to_bytes(8, "big"),
                attributes=_key_values(link.attributes),
                dropped_attributes_count=link.dropped_attributes,
                flags=_flags(link.context),
            )
            for link in span.links
        ],
        status=trace_pb2.Status(message=span.status.description) if span.status.description else None,
        dropped_attributes_count=span.dropped_attributes,
        dropped_events_count=span.dropped_events,
        dropped_links_count=span.dropped_links,
    )
    return bytes(rest.SerializeToString())


def _key_values(attributes: Mapping[str, Any] | None) -> list[KeyValue]:
    found = []
    for name, value in (attributes or {}).items():
        try:
            found.append(KeyValue(key=name, value=_any(value)))
        except (TypeError, ValueError) as error:
            log.warning("attribute_lost", attribute=name, kind=type(value).__name__, reason=str(error)[:200])
    return found


def _any(value: Any) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, bytes):
        return AnyValue(bytes_value=value)
    return AnyValue(array_value=ArrayValue(values=[_any(each) for each in value]))
