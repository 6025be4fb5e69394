"""OpenTelemetry's variables mean the same for spans and for metrics, and the same is said of what cannot be used."""

import pytest
from structlog.testing import capture_logs

from observability import exporting, metrics
from observability.environment import Signal, exporters, protocol, reachable, whole
from tests.support.otlp import http_receiver

KNOWN = ("otlp", "console", "none")
SIGNALS: list[Signal] = ["TRACES", "METRICS"]


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, ()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, ("otlp",)),
        ({"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT": "http://c"}, ("otlp",)),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, ()),
        ({"OTEL_{signal}_EXPORTER": " Console,otlp, console"}, ("console", "otlp")),
        ({"OTEL_{signal}_EXPORTER": "otlp,none"}, ("none",)),
        ({"OTEL_{signal}_EXPORTER": "otlp", "OTEL_SDK_DISABLED": " TRUE "}, ("none",)),
        ({"OTEL_{signal}_EXPORTER": "pigeon", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, ()),
    ],
)
def test_exporters_are_read_alike(signal: Signal, environ: dict[str, str], found: tuple[str, ...]) -> None:
    assert exporters({name.format(signal=signal): value for name, value in environ.items()}, signal, KNOWN) == found


@pytest.mark.parametrize("signal", SIGNALS)
def test_the_variable_of_one_signal_goes_before_that_of_all_and_is_the_one_that_is_named(signal: Signal) -> None:
    own, environ = f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    assert protocol(environ, signal) == "grpc"
    assert protocol({}, signal) == "http/protobuf"
    with capture_logs() as said:
        assert protocol({**environ, own: "http/json"}, signal) == "http/protobuf"
    assert [(line["variable"], line["value"]) for line in said] == [(own, "http/json")]


@pytest.mark.parametrize("signal", SIGNALS)
def test_an_address_without_a_scheme_is_named(signal: Signal) -> None:
    with capture_logs() as said:
        assert not reachable({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"}, signal)
        assert reachable({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector"}, signal) and reachable({}, signal)
    assert [(line["variable"], line["value"]) for line in said] == [("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")]


@pytest.mark.parametrize("text", ["soon", "0", "-1", "1.5"])
def test_a_number_that_is_none_is_named_and_the_default_taken(text: str) -> None:
    with capture_logs() as said:
        assert whole({"N": text}, "N", 7) == 7
    assert [(line["variable"], line["value"]) for line in said] == [("N", text)]
    assert (whole({"N": " 5 "}, "N", 7), whole({}, "N", 7)) == (5, 7)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_METRICS_EXPORTER", "pigeon"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "soon"),
    ],
)
def test_what_metrics_cannot_use_is_named_as_for_spans(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    with http_receiver() as receiver, capture_logs() as said:
        for name, text in {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, variable: value}.items():
            monkeypatch.setenv(name, text)
        exporting.configure_metrics("router", scraped=False)
        recorded = metrics.recorded()
        exporting.shutdown_metrics()
    assert [(line["variable"], line["value"]) for line in said if line["event"] == "setting_ignored"] == [(variable, value)]
    assert recorded is (variable in ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_METRIC_EXPORT_INTERVAL")), "nothing is kept that has no way out"
