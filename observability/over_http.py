"""Spans by OTLP over HTTP: the SDK's exporter with its settings, retries and session, and an encoding of our own."""

from collections.abc import Sequence

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from observability.encoding import Encoder

log = structlog.get_logger()

LARGEST = 64 << 20
"""Bytes of one export, as in the SDK."""


class OverHttp(OTLPSpanExporter):
    """The SDK's exporter over HTTP, which sends what is encoded here."""

    def __init__(self) -> None:
        super().__init__()
        self._encoder = Encoder()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._shutdown:
            return SpanExportResult.FAILURE
        body = self._encoder.request(spans)
        if len(body) > LARGEST:
            log.warning(
                "spans_lost", reason=f"{len(spans)} spans of {len(body)} bytes are more than a collector takes; set OTEL_BSP_MAX_EXPORT_BATCH_SIZE lower"
            )
            return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS if self._client.export(body).success else SpanExportResult.FAILURE
