"""CloudEvents at the edge: the trace that an event brings, and results that keep to the specification."""

import json
from datetime import UTC, datetime

import pytest

from bus.cloud_events import binary, trace_headers
from bus.results import event_headers
from contracts.result import ResultV1
from tests.support.cloud_events import broken_rules

PARENT = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
OTHER = "00-" + "c" * 32 + "-" + "d" * 16 + "-01"
STRUCTURED = {"Content-Type": "application/cloudevents+json"}


def test_a_binary_event_brings_its_trace() -> None:
    assert trace_headers({"ce-id": "1", "ce-traceparent": PARENT, "ce-tracestate": "a%3Db"}, b"{}")["traceparent"] == PARENT
    assert trace_headers({"ce-id": "1", "ce-traceparent": PARENT, "ce-tracestate": "a%3Db"}, b"{}")["tracestate"] == "a=b"


def test_a_structured_event_brings_its_trace() -> None:
    assert trace_headers(STRUCTURED, json.dumps({"traceparent": PARENT}).encode())["traceparent"] == PARENT


def test_the_messages_own_trace_goes_before_that_of_the_event() -> None:
    own = {**STRUCTURED, "traceparent": OTHER}
    assert trace_headers(own, json.dumps({"traceparent": PARENT}).encode()) == own


@pytest.mark.parametrize("body", [b"", b"not JSON", b"[]", b'{"traceparent": 7}', b"[" * 100_000])
def test_an_event_that_cannot_be_read_brings_no_trace(body: bytes) -> None:
    assert trace_headers(STRUCTURED, body) == STRUCTURED


def test_header_names_are_read_in_any_case() -> None:
    assert binary({"CE-Id": "1", "Ce-SpecVersion": "1.0"}) == {"id": "1", "specversion": "1.0"}


@pytest.mark.parametrize("at", [datetime(2026, 11, 21, 12, 0, tzinfo=UTC), datetime(2026, 11, 21, 12, 0, 0, 5, tzinfo=UTC)])
def test_a_result_keeps_every_rule_of_a_binary_cloud_event(at: datetime) -> None:
    assert broken_rules(event_headers(ResultV1(request_id="Job_1-x", tenant="a_c-me", kind="chat", status="succeeded", finished_at=at))) == []
