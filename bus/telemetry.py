"""How messages look in a trace: names and attributes by OpenTelemetry's messaging conventions, built for sampled messages only."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal
from urllib.parse import ParseResult

from opentelemetry.trace import Span

from bus.delivery import Delivery
from bus.errors import Exists
from bus.subjects import Subjects
from contracts.origin import OriginV1
from observability.tracing import Fact, annotate, failed, recording, span

NAMES = {"tenant": "headrace.tenant", "request_id": "headrace.request.id", "lane": "headrace.lane", "provider": "headrace.provider"}
"""What a subject tells, as attributes."""
METADATA = ("role", "swarm", "ticket", "user", "session", "feature", "environment", "cost_center")
"""The keys of a request's metadata that spans carry; the contract bounds their values."""
Ending = Literal["acknowledged", "retry", "backpressure", "rejected", "fault", "gave_up", "released", "unanswered"]


def publishing(
    subjects: Subjects, server: ParseResult | None, subject: str, body_bytes: int, headers: Mapping[str, str]
) -> AbstractContextManager[Span | None]:
    """The producer's span; what somebody else wrote first is no failure."""
    facts = {**_message("publish", "send", subjects, server, subject, body_bytes), **_schedule(headers)}
    return span(f"publish {facts['messaging.destination.template']}", "producer", facts, expected=(Exists,))


def processing(subjects: Subjects, server: ParseResult | None, delivery: Delivery, service: str) -> AbstractContextManager[Span | None]:
    """The consumer's span of one delivery, from the moment on when it came."""
    facts = {
        **_message("process", "process", subjects, server, delivery.subject, len(delivery.body)),
        "messaging.message.id": f"{delivery.stream}:{delivery.seq}",
        "messaging.consumer.group.name": delivery.consumer,
        "messaging.nats.stream": delivery.stream,
        "messaging.nats.message.delivery_count": delivery.deliveries,
        "headrace.queue.wait_s": round(max(0.0, (datetime.now(UTC) - delivery.stored_at).total_seconds()), 6),
        "headrace.service": service,
    }
    if "Nats-Scheduler" in delivery.headers:
        facts["headrace.schedule.by"] = delivery.headers["Nats-Scheduler"]
    return span(f"process {facts['messaging.destination.template']}", "consumer", facts)


def stored(stream: str, seq: int) -> None:
    """The open producer's span got its ack."""
    annotate({"messaging.message.id": f"{stream}:{seq}", "messaging.nats.stream": stream})


def settled(how: Ending, error_type: str | None = None, **facts: Fact) -> None:
    """How a delivery was answered. Only what has an `error_type` has failed: a retry that was asked for has not."""
    if not recording():
        return
    annotate({"headrace.delivery.outcome": how, **{f"headrace.{name}": value for name, value in facts.items()}})
    if error_type is not None:
        failed(error_type)


def request_facts(origin: OriginV1) -> dict[str, Fact]:
    """Whose request it is, and what it says of itself for observers."""
    facts: dict[str, Fact] = {
        "headrace.tenant": origin.tenant,
        "headrace.request.id": origin.request_id,
        "headrace.request.kind": origin.kind,
        "headrace.lane": origin.lane,
        **{f"headrace.metadata.{key}": origin.metadata[key] for key in METADATA if key in origin.metadata},
    }
    return facts if origin.replay_of is None else {**facts, "headrace.replay_of": origin.replay_of}


def _message(name: str, kind: str, subjects: Subjects, server: ParseResult | None, subject: str, body_bytes: int) -> dict[str, Fact]:
    facts = _same(name, kind, server).copy()
    facts["messaging.destination.name"] = subject
    facts["messaging.destination.template"] = subjects.template(subject)
    facts["messaging.message.body.size"] = body_bytes
    for word, value in subjects.said(subject).items():
        if word in NAMES:
            facts[NAMES[word]] = value
        elif word == "n" and value.isdecimal():
            facts["headrace.call.n"] = int(value)
    return facts


@lru_cache(maxsize=64)
def _same(name: str, kind: str, server: ParseResult | None) -> dict[str, Fact]:
    """What all messages of one operation have in common."""
    facts: dict[str, Fact] = {"messaging.system": "nats", "messaging.operation.name": name, "messaging.operation.type": kind}
    if server is not None and server.hostname:
        facts |= {"server.address": server.hostname, "server.port": server.port or 4222}
    return facts


def _schedule(headers: Mapping[str, str]) -> dict[str, Fact]:
    """When a message that is put off is due, and where."""
    at = headers.get("Nats-Schedule", "").removeprefix("@at ")
    if not at:
        return {}
    delay_s = (datetime.fromisoformat(at) - datetime.now(UTC)).total_seconds()
    return {"headrace.schedule.at": at, "headrace.schedule.delay_s": round(max(0.0, delay_s), 3), "headrace.schedule.target": headers["Nats-Schedule-Target"]}
