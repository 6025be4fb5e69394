"""Something that a person should know and that no result says."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from .base import Open


class NoticeV1(Open):
    """`kind` is a constant word (`conflict`, `backpressure` …), the facts are `details`."""

    severity: Literal["info", "warning", "error"]
    kind: str
    service: str
    message: str
    tenant: str | None = None
    request_id: str | None = None
    details: dict[str, Any] = Field(default_factory=dict)
    occurred_at: datetime
