"""Notices: what a person should know and no result says."""

from datetime import UTC, datetime
from typing import Any, Literal

import structlog

from bus.connection import Bus
from contracts.notice import NoticeV1
from observability import metrics
from observability.redaction import free_text

log = structlog.get_logger()


async def notify(
    bus: Bus,
    severity: Literal["info", "warning", "error"],
    kind: str,
    service: str,
    message: str,
    *,
    tenant: str | None = None,
    request_id: str | None = None,
    **details: Any,
) -> None:
    """Publish a notice without waiting for its ack, and log it."""
    metrics.NOTICES.add(1, severity, kind)
    message = free_text(message)
    log.warning("notice", kind=kind, message=message, tenant=tenant, request_id=request_id)
    notice = NoticeV1(
        severity=severity, kind=kind, service=service, message=message, tenant=tenant, request_id=request_id, details=details, occurred_at=datetime.now(UTC)
    )
    await bus.send(bus.subjects.notice(severity, kind), notice.model_dump_json().encode())
