"""Dead letters: the whole message with its reason, and a terminal result where the request is known."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import structlog
from pydantic import ValidationError

from bus.connection import Bus
from bus.delivery import Delivery
from bus.errors import TooLarge
from bus.results import publish_result, result
from contracts.base import REQUEST_ID, TENANT
from contracts.dead_letter import DeadLetterV1, SourceV1
from contracts.origin import OriginV1
from contracts.result import ErrorV1, ResultV1
from observability import metrics
from observability.redaction import free_text
from observability.tracing import current_trace

log = structlog.get_logger()

REQUEST_TOKENS = {"cancel": (1, 2), "call": (3, 4), "attempt": (3, 4), "verdict": (2, 3), "result": (1, 2)}
"""Where tenant and request id stand in each subject."""


def named(delivery: Delivery) -> tuple[str | None, str | None]:
    """Tenant and request id as far as the subject tells."""
    tokens = delivery.tokens
    if tokens[0] == "request":
        return (tokens[1] if len(tokens) > 1 and TENANT.match(tokens[1]) else None), None
    if tokens[0] == "document":
        return (tokens[1] if TENANT.match(tokens[1]) else None), None
    at = REQUEST_TOKENS.get(tokens[0])
    if at is None or len(tokens) <= at[1]:
        return None, None
    tenant, request_id = tokens[at[0]], tokens[at[1]]
    return (tenant if TENANT.match(tenant) else None), (request_id if REQUEST_ID.match(request_id) else None)


async def bury(bus: Bus, delivery: Delivery, service: str, reason: str, message: str) -> None:
    """Publish the terminal result (where the request is known) and the dead letter, both awaited. Raises Unavailable."""
    tenant, request_id = named(delivery)
    message = free_text(message)
    ended = False
    if tenant and request_id and delivery.tokens[0] != "cancel":
        await publish_result(bus, _terminal(delivery, tenant, request_id, service, message))
        ended = True
    trace = current_trace()
    letter = DeadLetterV1(
        id=f"{delivery.stream}-{delivery.seq}-{service}",
        service=service,
        tenant=tenant,
        request_id=request_id,
        reason=reason,
        message=message,
        source=SourceV1(stream=delivery.stream, sequence=delivery.seq, subject=delivery.subject, deliveries=delivery.deliveries),
        headers=delivery.headers,
        body_base64=base64.b64encode(delivery.body).decode(),
        call_ids=(f"{tenant}/{request_id}/{delivery.tokens[-1]}",) if request_id and delivery.tokens[-1].isdigit() else (),
        trace_id=trace.trace_id if trace else None,
        result_published=ended,
        failed_at=datetime.now(UTC),
    )
    subject = bus.subjects.dead(service, tenant)
    try:
        await bus.publish(subject, letter.model_dump_json().encode(), msg_id=letter.id)
    except TooLarge:
        # Base64 outgrew the payload limit: the source stream still has the bytes under source.sequence.
        await bus.publish(subject, letter.model_copy(update={"body_base64": ""}).model_dump_json().encode(), msg_id=letter.id)
    metrics.DEAD_LETTERS.add(1, service, reason)
    log.error("dead_letter", id=letter.id, tenant=tenant, request_id=request_id, reason=reason, message=message)


def _terminal(delivery: Delivery, tenant: str, request_id: str, service: str, message: str) -> ResultV1:
    now = datetime.now(UTC)
    error = ErrorV1(type="internal", message=f"{service}: {message}; see the dead letter {delivery.stream}-{delivery.seq}-{service}")
    origin = _origin(delivery.body)
    if origin is not None:
        return result(origin, (), "failed", now, error=error)
    return ResultV1(request_id=request_id, tenant=tenant, kind=None, status="failed", error=error, finished_at=now)


def _origin(body: bytes) -> OriginV1 | None:
    try:
        document: Any = json.loads(body)
        return OriginV1.model_validate(document.get("origin") or document["attempt"]["origin"])
    except (ValueError, ValidationError, KeyError, TypeError, AttributeError):
        return None
