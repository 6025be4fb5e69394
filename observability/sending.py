"""Spans on their way out: by OTLP or to the console, as OpenTelemetry's environment variables say."""

import os
from collections.abc import Mapping
from threading import Thread

import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

from observability.complaints import listen
from observability.environment import Environment, exporters, ignored, protocol, reachable, whole
from observability.recording import Recorder
from observability.resource import resource
from observability.span_redaction import Redacting
from observability.tracing import record_with
from observability.trees import WholeTrees

log = structlog.get_logger()

SHUTDOWN_S = 2.0
"""A collector that is away does not hold up a process that ends."""
EXPORTERS = ("otlp", "console", "none")
SAMPLERS = ("always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio")
QUEUE, BATCH, DELAY, PATIENCE = "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_EXPORT_TIMEOUT"
DEFAULTS: Mapping[str, int] = {QUEUE: 8192, BATCH: 512, DELAY: 1000, PATIENCE: 30000}
"""A shorter delay than the SDK's 5 s: what a killed process had not sent is lost."""

_recorder: Recorder | None = None


def configure_tracing(service: str) -> None:
    """Record and send spans from now on, if the environment asks for it. What cannot be used there is named in a warning."""
    global _recorder
    ready = [made for name in wanted(os.environ) if (made := _exporter(name, os.environ)) is not None]
    if not ready:
        return
    listen()
    check_sampler(os.environ)
    sampler = TracerProvider(shutdown_on_exit=False).sampler  # as the environment says
    _recorder = Recorder([WholeTrees(_batches(exporter, os.environ)) for exporter in ready], sampler, resource(service))
    record_with(_recorder)


def shutdown_tracing() -> None:
    """Send what is still buffered, and record no more. Takes `SHUTDOWN_S` at most."""
    global _recorder
    recorder, _recorder = _recorder, None
    record_with(None)
    if recorder is None:
        return
    last = Thread(target=recorder.shutdown, name="last-spans", daemon=True)
    last.start()
    last.join(SHUTDOWN_S)
    if last.is_alive():
        log.warning("spans_lost", reason=f"they could not be sent within {SHUTDOWN_S:g} s; is the collector at OTEL_EXPORTER_OTLP_ENDPOINT up?")


def wanted(environ: Environment) -> tuple[str, ...]:
    """The exporters that the environment asks for: none unless it names one, or an endpoint."""
    return tuple(name for name in exporters(environ, "TRACES", EXPORTERS) if name != "none")


def check_sampler(environ: Environment) -> None:
    """The SDK falls back to recording everything; here it is said whose fault that is."""
    name, argument = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower(), environ.get("OTEL_TRACES_SAMPLER_ARG", "")
    if name and name not in SAMPLERS:
        ignored("OTEL_TRACES_SAMPLER", name, f"one of {', '.join(SAMPLERS)}; every trace is recorded that no producer decided on")
    if name.endswith("traceidratio") and not _is_ratio(argument):
        ignored("OTEL_TRACES_SAMPLER_ARG", argument, "a number from 0 to 1; every trace is recorded that no producer decided on")


def _is_ratio(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


def _exporter(name: str, environ: Environment) -> SpanExporter | None:
    if name == "console":
        return ConsoleSpanExporter()
    if protocol(environ, "TRACES") == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter()
    from observability.over_http import OverHttp

    return OverHttp() if reachable(environ, "TRACES") else None


def _batches(exporter: SpanExporter, environ: Environment) -> BatchSpanProcessor:
    number = {name: whole(environ, name, default) for name, default in DEFAULTS.items()}
    if number[BATCH] > number[QUEUE]:
        ignored(BATCH, str(number[BATCH]), f"at most {QUEUE}, {number[QUEUE]}")
        number[BATCH] = number[QUEUE]
    return BatchSpanProcessor(Redacting(exporter), number[QUEUE], number[DELAY], number[BATCH], number[PATIENCE])
