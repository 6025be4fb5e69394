"""No secret leaves in a span."""

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanKind, StatusCode

from observability.redaction import conceal
from observability.span_redaction import MOST, Redacting, redacted
from tests.unit.observability.secrets import CREDENTIALS, INNOCENT, KEYS, PASSWORD

ALL = [(key, key) for key in KEYS] + list(CREDENTIALS)


def spans_of(said: str) -> ReadableSpan:
    """One exported span that has a text everywhere where a span can have one."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Redacting(exporter)))
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("parent") as parent:
        link = Link(parent.get_span_context(), {"why": said})
    with tracer.start_as_current_span(f"chat {said}", kind=SpanKind.CLIENT, links=[link], attributes={"one": said, "many": [said, "x"], "n": 1}) as span:
        span.record_exception(ValueError(said))
        span.add_event(said, {"said": said})
        span.set_status(StatusCode.ERROR, said)
    provider.shutdown()
    return exporter.get_finished_spans()[-1]


@pytest.mark.parametrize(("said", "secret"), ALL)
def test_no_secret_leaves_in_a_span(said: str, secret: str) -> None:
    assert secret not in spans_of(said).to_json()


def test_what_tells_a_span_from_others_stays() -> None:
    conceal(PASSWORD)
    span = spans_of(f"a {PASSWORD} b")
    assert span.attributes is not None and dict(span.attributes) == {"one": "a *** b", "many": ("a *** b", "x"), "n": 1}
    assert (span.name, span.kind, span.status.status_code, span.status.description) == ("chat a *** b", SpanKind.CLIENT, StatusCode.ERROR, "a *** b")
    assert span.context is not None and span.context.is_valid and span.end_time and span.start_time and len(span.links) == 1 and len(span.events) == 2


def test_an_attribute_named_like_a_secret_is_hidden() -> None:
    span = ReadableSpan("x", attributes={"http.request.header.x-api-key": "short", "api_key": "short", "gen_ai.usage.input_tokens": 5})
    assert dict(redacted(span).attributes or {}) == {"http.request.header.x-api-key": "***", "api_key": "***", "gen_ai.usage.input_tokens": 5}


@pytest.mark.parametrize("text", INNOCENT)
def test_a_span_without_secrets_is_handed_on_as_it_is(text: str) -> None:
    span = ReadableSpan("process call", attributes={"messaging.message.id": text})
    assert redacted(span) is span


class Kept:
    """An exporter that keeps what it is given, behind `Redacting`."""

    def __init__(self) -> None:
        self.inner = InMemorySpanExporter()
        self.outer = Redacting(self.inner)

    def sent(self, **attributes: str) -> dict[str, object]:
        self.outer.export([ReadableSpan("x", attributes=attributes)])
        return dict(self.inner.get_finished_spans()[-1].attributes or {})


def test_a_text_that_was_innocent_is_hidden_once_it_is_concealed() -> None:
    kept = Kept()
    assert kept.sent(one="harmless-word") == {"one": "harmless-word"}
    conceal("harmless-word")
    assert kept.sent(one="harmless-word") == {"one": "***"}


def test_a_text_that_is_innocent_under_one_name_is_hidden_under_another() -> None:
    kept = Kept()
    assert kept.sent(one="short") == {"one": "short"}
    assert kept.sent(one="short", api_key="short") == {"one": "short", "api_key": "***"}


def test_what_is_remembered_of_texts_has_a_bound() -> None:
    kept = Kept()
    for number in range(3 * MOST):
        kept.sent(one=f"text {number}", long="x" * 1000)
    assert len(kept.outer._innocent) <= MOST
    assert max(len(text) for _, text in kept.outer._innocent) < 1000
