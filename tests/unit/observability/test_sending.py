"""Which of OpenTelemetry's variables do what, and what is said of those that cannot be used."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from observability import sending
from observability.complaints import Complaints
from observability.recording import Recorder
from observability.resource import resource
from observability.tracing import enter, received, recording

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
SAMPLED = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Tracing configured by an environment of its own; gives what the log said and the provider."""

    def begin(environ: dict[str, str]) -> tuple[list[Any], Recorder | None]:
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        with capture_logs() as said:
            sending.configure_tracing("router")
        return said, sending._recorder

    yield begin
    sending.shutdown_tracing()


@pytest.mark.parametrize(
    ("environ", "exporters"),
    [
        ({}, ()),
        (ENDPOINT, ("otlp",)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"}, ("otlp",)),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, ("otlp",)),
        ({"OTEL_TRACES_EXPORTER": "console"}, ("console",)),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "otlp, console"}, ("otlp", "console")),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, ()),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "TRUE"}, ()),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "zipkin"}, ()),
    ],
)
def test_spans_are_sent_where_the_environment_says_so(environ: dict[str, str], exporters: tuple[str, ...]) -> None:
    assert sending.wanted(environ) == exporters


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1000000"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_its_variable(begun: Any, variable: str, value: str) -> None:
    said, _ = begun({**ENDPOINT, variable: value})
    assert [(line["variable"], line["value"]) for line in said if line["event"] == "setting_ignored"] == [(variable, value)]


@pytest.mark.parametrize("ratio", ["", "half", "2", "-1"])
def test_a_ratio_that_is_none_is_named(begun: Any, ratio: str) -> None:
    said, _ = begun({**ENDPOINT, "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": ratio})
    assert [line["variable"] for line in said if line["event"] == "setting_ignored"] == ["OTEL_TRACES_SAMPLER_ARG"]


def test_good_values_are_said_nothing_of(begun: Any) -> None:
    sampling = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"}
    said, provider = begun({**ENDPOINT, **sampling, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_BSP_SCHEDULE_DELAY": "200"})
    assert said == []
    assert provider is not None


def test_the_sampler_of_the_environment_decides_on_requests_without_a_trace(begun: Any) -> None:
    begun({**ENDPOINT, "OTEL_TRACES_SAMPLER": "parentbased_always_off"})
    with sending_root():
        assert not recording()
    enter(received(SAMPLED))
    assert recording(), "the producer has decided"


def sending_root() -> Any:
    from observability.tracing import span

    enter(received({}))
    return span("process", "consumer")


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({}, "headrace-router"),
        ({"OTEL_SERVICE_NAME": "ours"}, "ours"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=ours,team=a"}, "ours"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=other", "OTEL_SERVICE_NAME": "ours"}, "ours"),
    ],
)
def test_the_name_that_the_environment_gives_wins(monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], name: str) -> None:
    for variable, value in environ.items():
        monkeypatch.setenv(variable, value)
    assert resource("router").attributes["service.name"] == name
    assert {"service.version", "service.instance.id"} <= set(resource("router").attributes)


def complaint(text: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("opentelemetry.exporter", logging.ERROR, __file__, 1, text, args, None)


def test_what_the_sdk_complains_of_is_told_once_in_a_while() -> None:
    now = [0.0]
    complaints = Complaints(every_s=60, clock=lambda: now[0])
    with capture_logs() as said:
        for _ in range(100):
            complaints.emit(complaint("Failed to export %s", "spans"))
        complaints.emit(complaint("something else"))
        now[0] = 61
        complaints.emit(complaint("Failed to export %s", "spans"))
    assert [(line["message"], line["kept_back"]) for line in said] == [("Failed to export spans", 0), ("something else", 0), ("Failed to export spans", 99)]


def test_a_complaint_repeats_no_header_of_an_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=very-secret,broken secret words")
    with capture_logs() as said:
        Complaints().emit(complaint("Header format invalid: %s", "api-key=very-secret,broken secret words"))
        Complaints().emit(complaint("Header format invalid: %s", "broken secret words"))
        Complaints().emit(complaint("refused with %s", "very-secret"))
    assert [line["message"] for line in said] == ["Header format invalid: ***", "Header format invalid: ***", "refused with ***"]
