"""A message that no service can handle, parked whole with its reason."""

from datetime import datetime

from .base import Open


class SourceV1(Open):
    stream: str
    sequence: int
    subject: str
    deliveries: int


class DeadLetterV1(Open):
    """Enough to send the same bytes again with nothing else at hand; `id` is `<stream>-<sequence>-<service>`."""

    id: str
    service: str
    tenant: str | None
    request_id: str | None
    reason: str
    message: str
    source: SourceV1
    headers: dict[str, str]
    body_base64: str
    call_ids: tuple[str, ...] = ()
    trace_id: str | None = None
    result_published: bool = False
    failed_at: datetime
