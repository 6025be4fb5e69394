"""A receiver of OTLP over HTTP: spans as they are sent, each with its resource."""

from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support import canaries

KINDS = {Span.SPAN_KIND_PRODUCER: "producer", Span.SPAN_KIND_CONSUMER: "consumer", Span.SPAN_KIND_CLIENT: "client", Span.SPAN_KIND_INTERNAL: "internal"}


@dataclass(frozen=True)
class Seen:
    """One span. Times in seconds since 1970; `links`: trace id, span id, why."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    began: float
    ended: float
    failed: bool
    said: str
    """The text of its status."""
    facts: dict[str, Any]
    links: tuple[tuple[str, str, str], ...]
    events: int
    resource: dict[str, Any]

    @property
    def service(self) -> str:
        return str(self.resource["service.name"])

    @property
    def instance(self) -> str:
        return str(self.resource["service.instance.id"])


@dataclass
class Collector:
    """Listens on a free port of its own."""

    spans: list[Seen] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    port: int = 0
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=64 << 20)
        application.add_routes([web.post("/v1/traces", self._take)])
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = int(self._runner.addresses[0][1])
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def of(self, trace_id: str) -> list[Seen]:
        """The spans of one trace, by their beginning."""
        return sorted((span for span in self.spans if span.trace_id == trace_id), key=lambda span: span.began)

    async def _take(self, request: web.Request) -> web.Response:
        self.headers.append(dict(request.headers))
        self.raw.append(await request.read())
        canaries.sent("trees", self.raw[-1])
        sent = ExportTraceServiceRequest.FromString(self.raw[-1])
        for group in sent.resource_spans:
            resource = _facts(group.resource.attributes)
            self.spans += [_seen(span, resource) for scope in group.scope_spans for span in scope.spans]
        return web.Response(body=ExportTraceServiceResponse().SerializeToString(), content_type="application/x-protobuf")


def _seen(span: Span, resource: dict[str, Any]) -> Seen:
    links = tuple((link.trace_id.hex(), link.span_id.hex(), str(_facts(link.attributes).get("headrace.link"))) for link in span.links)
    return Seen(
        span.name,
        KINDS.get(span.kind, "?"),
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano / 1e9,
        span.end_time_unix_nano / 1e9,
        span.status.code == span.status.STATUS_CODE_ERROR,
        span.status.message,
        _facts(span.attributes),
        links,
        len(span.events),
        resource,
    )


def _facts(attributes: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in attributes if isinstance(pair, KeyValue)}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, kind) if kind else None
