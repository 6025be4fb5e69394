"""Delivery rule 5: what follows a handler's return or exception. Nothing is terminated silently."""

import asyncio
import time
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Literal, TypeVar

import nats.errors
import structlog

from bus.cloud_events import trace_headers
from bus.connection import Bus
from bus.dead_letters import bury, named
from bus.delivery import Delivery, Handler
from bus.errors import Reject, Retry, TooLarge, Unavailable
from bus.notices import notify
from bus.telemetry import processing, settled
from observability import metrics
from observability.labels import lane_of
from observability.tracing import carried, enter, received, recording

log = structlog.get_logger()

MAX_DELIVERIES = 6
"""A handler that keeps failing without saying why gets this many tries."""
Value = TypeVar("Value")
Ended = Literal["retry", "backpressure", "fault", "rejected", "gave_up", "unanswered"]
"""How a handler may fail: its delivery came back, became a dead letter, or could not be answered."""
RETURNED = frozenset({"retry", "backpressure", "fault"})


async def answer(bus: Bus, delivery: Delivery, handler: Handler, service: str) -> None:
    """Run a handler in the message's trace and answer the delivery: ack, nak with delay, or dead letter and ack. In a task of its own."""
    enter(carried(delivery.raw_headers) or received(trace_headers(delivery.headers, delivery.body)))
    if not recording():
        await _answer(bus, delivery, handler, service)
        return
    with processing(bus.subjects, bus.server, delivery, service):
        await _answer(bus, delivery, handler, service)


async def _answer(bus: Bus, delivery: Delivery, handler: Handler, service: str) -> None:
    if not metrics.recorded():
        await _safely(bus, delivery, handler, service)
        return
    if delivery.deliveries == 1:
        waited_s = (datetime.now(UTC) - delivery.stored_at).total_seconds()
        metrics.QUEUE_WAIT.record(max(0.0, waited_s), delivery.stream, lane_of(delivery.tokens))
    began = time.perf_counter()
    ended = await _safely(bus, delivery, handler, service)
    metrics.PROCESS_DURATION.record(time.perf_counter() - began, "nats", "process", delivery.consumer, ended)
    if ended in RETURNED:
        metrics.DELIVERIES_RETURNED.add(1, delivery.consumer, ended)


async def _safely(bus: Bus, delivery: Delivery, handler: Handler, service: str) -> Ended | None:
    """How the handler failed, or None."""
    try:
        return await _decide(bus, delivery, handler, service)
    except (Unavailable, nats.errors.Error, OSError) as error:
        settled("unanswered", type(error).__name__)
        tenant, request_id = named(delivery)
        facts = {"tenant": tenant, "request_id": request_id, "subject": delivery.tokens[0], "seq": delivery.seq}
        log.warning("bus_lost_while_answering", **facts, error=repr(error))
        return "unanswered"


async def _decide(bus: Bus, delivery: Delivery, handler: Handler, service: str) -> Ended | None:
    try:
        await handler(delivery)
    except asyncio.CancelledError:
        settled("released")
        delivery.nak(bus.nc, 0)
        raise
    except Retry as retry:
        settled("retry", retry_after_s=retry.after_s)
        delivery.nak(bus.nc, retry.after_s)
        return "retry"
    except Unavailable as error:
        settled("backpressure", type(error).__name__, retry_after_s=growing(delivery.deliveries))
        delivery.nak(bus.nc, growing(delivery.deliveries))
        await notify(bus, "warning", "backpressure", service, str(error))
        return "backpressure"
    except (Reject, TooLarge) as error:
        reason = error.reason if isinstance(error, Reject) else "too_large"
        settled("rejected", reason)
        await bury(bus, delivery, service, reason, str(error))
        delivery.ack(bus.nc)
        return "rejected"
    except Exception as error:  # the one place: a fault of ours is retried, then parked with its reason
        tenant, request_id = named(delivery)
        facts = {"tenant": tenant, "request_id": request_id, "stream": delivery.stream, "seq": delivery.seq, "deliveries": delivery.deliveries}
        log.error("handler_failed", service=service, **facts, error=type(error).__name__, exc_info=True)
        settled("fault" if delivery.deliveries < MAX_DELIVERIES else "gave_up", type(error).__name__)
        if delivery.deliveries < MAX_DELIVERIES:
            delivery.nak(bus.nc, growing(delivery.deliveries))
            return "fault"
        await bury(bus, delivery, service, "handler_failed", f"{type(error).__name__} after {delivery.deliveries} deliveries")
        delivery.ack(bus.nc)
        return "gave_up"
    settled("acknowledged")
    delivery.ack(bus.nc)
    return None


async def fault_of(work: Awaitable[Value]) -> Value | Exception:
    """The value of some work, or the exception that ended it: for callers to whom any fault is a fact to publish."""
    try:
        return await work
    except Exception as error:  # the caller publishes it
        log.error("work_failed", error=type(error).__name__, exc_info=True)
        return error


def growing(deliveries: int) -> float:
    """Seconds before the next delivery: 0.2, 0.4, 0.8 … 10."""
    return float(min(0.1 * 2 ** min(deliveries, 10), 10.0))
