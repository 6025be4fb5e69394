"""Spans without secrets: their names, attributes, events, links and status are looked at before they leave, off the hot path and only where sampled."""

from collections.abc import Mapping, Sequence

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Link, Status
from opentelemetry.util.types import AttributeValue

from observability.redaction import without_secrets


class Redacting(SpanExporter):
    """Hands on what another exporter sends. Runs where that one does: in the thread of a batch processor."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([redacted(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def redacted(span: ReadableSpan) -> ReadableSpan:
    """The span itself where it holds no secret, else a copy without."""
    told = _texts(span)
    if without_secrets(told) == told:
        return span
    return ReadableSpan(
        name=without_secrets(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_attributes(span.attributes),
        events=[Event(without_secrets(event.name), _attributes(event.attributes), event.timestamp) for event in span.events],
        links=[Link(link.context, _attributes(link.attributes)) for link in span.links],
        kind=span.kind,
        status=Status(span.status.status_code, without_secrets(span.status.description) if span.status.description else None),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _texts(span: ReadableSpan) -> str:
    """All that is text in it, in the form `name="value"`, so that a name tells on its value."""
    held = [span.attributes, *(event.attributes for event in span.events), *(link.attributes for link in span.links)]
    pairs = [f'{name}="{value}"' for attributes in held for name, value in (attributes or {}).items() if isinstance(value, str | Sequence)]
    return "\n".join((span.name, span.status.description or "", *(event.name for event in span.events), *pairs))


def _attributes(attributes: Mapping[str, AttributeValue] | None) -> dict[str, AttributeValue]:
    return {name: _value(name, value) for name, value in (attributes or {}).items()}


def _value(name: str, value: AttributeValue) -> AttributeValue:
    if isinstance(value, str):
        named = f'{name}="'
        return without_secrets(f'{named}{value}"')[len(named) : -1]
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return tuple(without_secrets(each) if isinstance(each, str) else each for each in value)
    return value
