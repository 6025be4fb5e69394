"""Spans leave in whole trees: never one whose parent may still be lost."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from observability.tracing import enter, received, record_with, span
from observability.trees import WholeTrees
from tests.support.recorder import recorder

SAMPLED = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}


@pytest.fixture
def sent() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    record_with(recorder(exporter, trees=WholeTrees))
    yield exporter
    record_with(None)


def names(exporter: InMemorySpanExporter) -> list[str]:
    return [one.name for one in exporter.get_finished_spans()]


def test_what_ends_below_an_open_span_waits_for_it_and_goes_after_it(sent: InMemorySpanExporter) -> None:
    enter(received(SAMPLED))
    with span("process", "consumer"):
        with span("chat", "client"), span("deeper", "client"):
            pass
        with span("publish", "producer"):
            pass
        assert names(sent) == [], "a kill now would leave orphans"
    assert names(sent) == ["process", "publish", "chat", "deeper"]


def test_trees_of_two_deliveries_do_not_wait_for_each_other(sent: InMemorySpanExporter) -> None:
    enter(received(SAMPLED))
    slow = span("slow", "consumer")
    slow.__enter__()
    enter(received(SAMPLED))
    with span("quick", "consumer"), span("publish", "producer"):
        pass
    assert names(sent) == ["quick", "publish"]
    slow.__exit__(None, None, None)
    assert names(sent) == ["quick", "publish", "slow"]


def test_what_ends_after_its_tree_has_been_sent_is_sent_at_once_and_nothing_is_kept(sent: InMemorySpanExporter) -> None:
    enter(received(SAMPLED))
    with span("process", "consumer"):
        late = span("late", "client")
        late.__enter__()
    assert names(sent) == ["process"]
    late.__exit__(None, None, None)
    assert names(sent) == ["process", "late"]


def test_nothing_is_kept_of_what_was_sent() -> None:
    kept = recorder(InMemorySpanExporter(), trees=WholeTrees)
    [trees] = kept.onward
    record_with(kept)
    try:
        enter(received(SAMPLED))
        with span("process", "consumer"), span("publish", "producer"):
            pass
        assert (trees._top, trees._held) == ({}, {})
    finally:
        record_with(None)
