"""One trace per request: who is whose parent, and what an unsampled hop does."""

import asyncio
import contextvars
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from observability import tracing
from observability.tracing import continued, current_trace, enter, link, received, record_with, span
from tests.support.recorder import recorder

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}
UNSAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-00"}


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    """Tracing as `configure_tracing` sets it up, exporting into memory."""
    exporter, before = InMemorySpanExporter(), tracing._recorder
    record_with(recorder(exporter))
    yield exporter
    record_with(before)


def hop(headers: dict[str, str]) -> dict[str, str]:
    """A message is processed, and one is published while it is: the headers that go out."""
    enter(received(headers))
    with span("process call", "consumer"), span("publish attempt", "producer"):
        trace = current_trace()
        assert trace is not None
        return trace.headers()


def parent_of(one: ReadableSpan) -> str:
    assert one.parent is not None
    return f"{one.parent.span_id:016x}"


def id_of(one: ReadableSpan) -> str:
    assert one.context is not None
    return f"{one.context.span_id:016x}"


def test_an_unsampled_hop_only_copies_the_header(exported: InMemorySpanExporter) -> None:
    assert hop(UNSAMPLED) == UNSAMPLED
    assert exported.get_finished_spans() == ()


def test_a_hop_without_an_exporter_only_copies_the_header() -> None:
    assert hop(SAMPLED) == SAMPLED


def test_a_sampled_hop_is_a_chain_of_process_and_publish(exported: InMemorySpanExporter) -> None:
    sent = hop(SAMPLED)
    publish, process = exported.get_finished_spans()
    assert (process.name, process.kind, publish.name, publish.kind) == ("process call", SpanKind.CONSUMER, "publish attempt", SpanKind.PRODUCER)
    assert parent_of(process) == PARENT
    assert parent_of(publish) == id_of(process)
    assert sent == {"traceparent": f"00-{TRACE}-{id_of(publish)}-01", "tracestate": "vendor=1"}


def test_the_next_hop_is_a_child_of_the_publish_before_it(exported: InMemorySpanExporter) -> None:
    hop(hop(SAMPLED))
    first_publish, _, _, second_process = exported.get_finished_spans()
    assert parent_of(second_process) == id_of(first_publish)
    assert {f"{one.context.trace_id:032x}" for one in exported.get_finished_spans() if one.context} == {TRACE}


def test_two_publishes_of_one_handler_are_siblings(exported: InMemorySpanExporter) -> None:
    enter(received(SAMPLED))
    with span("process request", "consumer"):
        with span("publish call", "producer"):
            pass
        with span("publish notice", "producer"):
            pass
    call, notice, process = exported.get_finished_spans()
    assert parent_of(call) == parent_of(notice) == id_of(process)


def test_a_failing_span_names_the_error_and_lets_it_rise(exported: InMemorySpanExporter) -> None:
    enter(received(SAMPLED))
    with pytest.raises(KeyError), span("process call", "consumer"):
        raise KeyError("secret")
    (failed,) = exported.get_finished_spans()
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.attributes is not None
    assert failed.attributes["error.type"] == "KeyError"
    assert "secret" not in failed.to_json()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"traceparent": "nonsense"},
        {"traceparent": f"00-{'0' * 32}-{PARENT}-01"},
        {"traceparent": f"00-{TRACE}-{'0' * 16}-01"},
        {"traceparent": f"ff-{TRACE}-{PARENT}-01"},
    ],
)
def test_without_a_usable_header_a_new_trace_begins(headers: dict[str, str]) -> None:
    one, other = received(headers), received(headers)
    assert one.trace_id not in (TRACE, other.trace_id, "0" * 32)
    assert one.begun_here
    assert received(one.headers()).headers() == one.headers()


def test_the_first_span_of_a_trace_that_no_producer_began_is_its_root(exported: InMemorySpanExporter) -> None:
    sent = hop({})
    publish, process = exported.get_finished_spans()
    assert process.parent is None
    assert process.context is not None
    assert sent["traceparent"].split("-")[1] == f"{process.context.trace_id:032x}"
    assert parent_of(publish) == id_of(process)


def test_the_sampler_decides_on_a_trace_that_no_producer_began() -> None:
    before, tracing._recorder = tracing._recorder, recorder(InMemorySpanExporter(), ALWAYS_OFF)
    try:
        assert not int(hop({})["traceparent"][-2:], 16) & 1
    finally:
        tracing._recorder = before


def test_a_new_trace_is_sampled_only_where_spans_are_exported(exported: InMemorySpanExporter) -> None:
    assert received({}).sampled
    tracing._recorder = None
    assert not received({}).sampled


def test_a_trace_is_current_in_the_task_that_handles_its_message_and_in_no_other() -> None:
    async def handle() -> str | None:
        enter(received(SAMPLED))
        trace = current_trace()
        return trace.trace_id if trace else None

    async def run() -> None:
        before = current_trace()
        assert await asyncio.create_task(handle()) == TRACE
        assert current_trace() is before

    contextvars.Context().run(asyncio.run, run())


def test_work_that_no_delivery_began_goes_on_in_the_trace_of_a_stored_message(exported: InMemorySpanExporter) -> None:
    def sweep() -> None:
        with continued(SAMPLED), span("publish attempt", "producer"):
            pass
        assert current_trace() is None
        with continued({}), span("publish attempt", "producer") as none:
            assert none is None

    contextvars.Context().run(sweep)
    (publish,) = exported.get_finished_spans()
    assert parent_of(publish) == PARENT


def test_a_second_cause_is_a_link(exported: InMemorySpanExporter) -> None:
    other = f"00-{TRACE}-{'b' * 16}-01"
    enter(received(SAMPLED))
    link({"traceparent": other}, "begun")  # no span is open
    with span("process call", "consumer"):
        link({"traceparent": other}, "begun")
        link({}, "begun")
    (process,) = exported.get_finished_spans()
    assert [(f"{one.context.span_id:016x}", dict(one.attributes or {})) for one in process.links] == [("b" * 16, {"headrace.link": "begun"})]


def test_an_expected_end_is_no_failure(exported: InMemorySpanExporter) -> None:
    enter(received(SAMPLED))
    with pytest.raises(KeyError), span("publish call", "producer", expected=(LookupError,)):
        raise KeyError("exists")
    (one,) = exported.get_finished_spans()
    assert one.status.status_code is StatusCode.UNSET


def test_a_log_line_names_the_trace_and_the_span_that_it_belongs_to(exported: InMemorySpanExporter, written: Callable[[], list[dict[str, Any]]]) -> None:
    enter(received(SAMPLED))
    with span("process call", "consumer"):
        structlog.get_logger().warning("odd")
    [line] = written()
    (process,) = exported.get_finished_spans()
    assert (line["trace_id"], line["span_id"]) == (TRACE, id_of(process))
