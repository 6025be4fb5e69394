"""Spans that are recorded into memory, as `configure_tracing` has them recorded for a collector."""

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Sampler
from opentelemetry.trace import SpanContext

from observability.recording import Recorder
from observability.trees import WholeTrees


class AtOnce(WholeTrees):
    """Holds nothing back: spans in the order in which they end."""

    def begun(self, context: SpanContext, parent: SpanContext | None) -> None:
        pass


def recorder(exporter: SpanExporter, sampler: Sampler = DEFAULT_ON, trees: type[WholeTrees] = AtOnce) -> Recorder:
    return Recorder([trees(SimpleSpanProcessor(exporter))], sampler, Resource({"service.name": "tried"}))
