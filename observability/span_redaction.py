"""Spans without secrets: their names, attributes, events, links and status are looked at before they leave, off the hot path and only where sampled."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Link, Status
from opentelemetry.util.types import AttributeValue

from observability.redaction import concealed, without_secrets
from observability.secret_shapes import NAME_ANCHORS

Text = tuple[str, str]
"""An attribute's name and one text of its value; no name where a span, an event or a status speaks."""
NUMBERS = frozenset({int, float, bool})
MOST, LONGEST = 4096, 128
"""Texts that come again are looked at once: so many are remembered, each so long at most."""


class Redacting(SpanExporter):
    """Hands on what another exporter sends. Runs where that one does: in the thread of a batch processor."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._innocent: set[Text] = set()
        self._concealed = concealed()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        now_concealed = concealed()
        if now_concealed is not self._concealed:  # what was innocent may be so no more
            self._concealed = now_concealed
            self._innocent.clear()
        return self._exporter.export([redacted(span, self._innocent) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def redacted(span: ReadableSpan, innocent: set[Text] | None = None) -> ReadableSpan:
    """The span itself where it holds no secret, else a copy without. `innocent`: texts that were looked at before; this span's are added."""
    new = _texts(span, innocent or frozenset())
    if not new:
        return span
    told = "\n".join([f'{name}="{text}"' if _telling(name) else text for name, text in new])
    if without_secrets(told) == told:
        if innocent is not None:
            _remember(new, innocent)
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


def _texts(span: ReadableSpan, innocent: AbstractSet[Text]) -> list[Text]:
    """All that is text in it and not known to be innocent, with the names, which tell on their values."""
    found: list[Text] = [("", text) for text in (span.name, span.status.description) if text and ("", text) not in innocent]
    for attributes in (span.attributes, *(event.attributes for event in span.events), *(link.attributes for link in span.links)):
        for pair in (attributes or {}).items():
            kind = type(pair[1])
            if kind not in NUMBERS and (kind is not str or pair not in innocent):
                found.append((pair[0], str(pair[1])))
    found += [("", event.name) for event in span.events]
    return found


@lru_cache(maxsize=1024)
def _telling(name: str) -> bool:
    """Whether it may say of its value that it is a secret; what it need not stand beside is looked at quicker."""
    named = f'{name}="'.lower()
    return any(anchor in named for anchor in NAME_ANCHORS)


def _remember(texts: list[Text], innocent: set[Text]) -> None:
    if len(innocent) + len(texts) > MOST:
        innocent.clear()
    innocent.update([text for text in texts if len(text[1]) <= LONGEST])


def _attributes(attributes: Mapping[str, AttributeValue] | None) -> dict[str, AttributeValue]:
    return {name: _value(name, value) for name, value in (attributes or {}).items()}


def _value(name: str, value: AttributeValue) -> AttributeValue:
    if isinstance(value, str):
        named = f'{name}="'
        return without_secrets(f'{named}{value}"')[len(named) : -1]
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return tuple(without_secrets(each) if isinstance(each, str) else each for each in value)
    return value
