"""What the validator publishes for an attempt."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from bus.connection import Ack
from bus.delivery import Delivery
from bus.errors import Exists, Reject
from bus.subjects import Subjects
from contracts.attempt import AttemptFinishedV1
from services.validator.handlers import Handlers

SUBJECTS = Subjects()
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
GOOD = '{"capital": "Paris"}'
SCHEMA = {"type": "object", "required": ["capital"]}


def attempt(text: str | None = "{}", *, schema: Any = SCHEMA, repairs: int = 0, **more: Any) -> AttemptFinishedV1:
    origin = {
        "request_id": "job-1",
        "tenant": "acme",
        "kind": "chat",
        "route": "default",
        "lane": "standard",
        "metadata": {},
        "request_seq": 1,
        "request_sha256": "0" * 64,
        "requested_at": NOW - timedelta(seconds=2),
        "deadline": NOW + timedelta(minutes=1),
        "output": None if schema is None else {"json_schema": schema, "max_repairs": 2},
    }
    body = {
        "origin": origin,
        "slip": {"candidates": [], "repairs": repairs},
        "summary": {"n": 1, "provider": "p", "model": "m", "outcome": "answered", "finish_reason": "stop"},
        "message": None if text is None else {"role": "assistant", "content": text},
        "call_seq": 9,
        "occurred_at": NOW,
    }
    return AttemptFinishedV1.model_validate(body | more)


class FakeBus:
    """Keeps what is published; refuses a second message where none may be."""

    def __init__(self) -> None:
        self.subjects = SUBJECTS
        self.published: list[tuple[str, dict[str, Any]]] = []
        self.taken: set[str] = set()

    async def publish(self, subject: str, body: bytes, headers: dict[str, str] | None = None, *, none_on: str | None = None, msg_id: str | None = None) -> Ack:
        assert msg_id is None, "what an expected sequence guards carries no message id"
        assert none_on is not None
        if none_on in self.taken:
            raise Exists(none_on)
        self.taken.add(none_on)
        self.published.append((subject, json.loads(body)))
        return Ack()


def delivered(body: AttemptFinishedV1 | bytes, outcome: str = "answered", deliveries: int = 1) -> Delivery:
    raw = body if isinstance(body, bytes) else body.model_dump_json().encode()
    tokens = ["attempt", outcome, "standard", "acme", "job-1", "1"]
    return Delivery(SUBJECTS.attempt(*tokens[1:]), tokens, raw, {}, "ATTEMPTS", 5, deliveries, NOW)


def handled(bus: FakeBus, *deliveries: Delivery) -> list[tuple[str, dict[str, Any]]]:
    async def run() -> None:
        handlers = Handlers(bus, clock=lambda: NOW)  # type: ignore[arg-type]  # a fake in the shape of the bus
        for delivery in deliveries:
            await handlers.on_attempt(delivery)

    asyncio.run(run())
    return bus.published


def test_an_accepted_answer_becomes_the_result_of_its_request() -> None:
    before = {"n": 1, "provider": "q", "model": "x", "outcome": "timeout"}
    answer = attempt(
        GOOD,
        slip={"candidates": [], "attempts": [before], "warnings": [{"type": "a", "message": "1"}]},
        summary={"n": 2, "provider": "p", "model": "m", "outcome": "answered", "finish_reason": "stop", "cost_usd": "0.00000024"},
        warnings=[{"type": "b", "message": "2"}],
        queue_s=0.25,
        first_token_s=0.5,
        response_id="r-1",
    )
    [(subject, result)] = handled(FakeBus(), delivered(answer))
    assert subject == SUBJECTS.settle("acme", "job-1")
    assert (result["status"], result["parsed"], result["finish_reason"], result["error"]) == ("succeeded", {"capital": "Paris"}, "stop", None)
    assert (result["provider"], result["model"], result["response_id"]) == ("p", "m", "r-1")
    assert [each["n"] for each in result["attempts"]] == [1, 2]
    assert (result["cost_usd"], result["cost_known_usd"]) == (None, "0.00000024")
    assert [each["type"] for each in result["warnings"]] == ["a", "b"]
    assert (result["queue_s"], result["first_token_s"], result["duration_s"]) == (0.25, 0.5, 2.0)


def test_a_broken_answer_becomes_an_order_to_repair_it_once() -> None:
    bus = FakeBus()
    [(subject, order)] = handled(bus, delivered(attempt("{}")), delivered(attempt("{}"), deliveries=2))
    assert subject == SUBJECTS.verdict("standard", "acme", "job-1", 1)
    assert order["problems"] == ["$.capital: rule 'required': got nothing: add this property"]


def test_an_answer_that_cannot_be_accepted_fails_its_request_and_keeps_the_message() -> None:
    [(_, result)] = handled(FakeBus(), delivered(attempt("{}", repairs=2)))
    assert (result["status"], result["error"]["type"], result["error"]["provider"]) == ("failed", "invalid_output", "p")
    assert result["message"]["content"] == "{}"


def test_a_late_answer_is_a_success_or_nothing() -> None:
    assert handled(FakeBus(), delivered(attempt("{}"), "late")) == []
    [(_, result)] = handled(FakeBus(), delivered(attempt(GOOD), "late"))
    assert result["status"] == "succeeded"


def test_the_second_result_of_a_request_is_dropped_quietly() -> None:
    bus = FakeBus()
    assert len(handled(bus, delivered(attempt(GOOD)), delivered(attempt(GOOD), deliveries=2))) == 1


def test_an_attempt_that_cannot_be_read_is_rejected_without_quoting_it() -> None:
    with pytest.raises(Reject) as refused:
        handled(FakeBus(), delivered(b'{"origin": "secret"}'))
    assert refused.value.reason == "undecodable" and "secret" not in str(refused.value)


def test_embeddings_are_handed_on() -> None:
    answer = attempt(None, schema=None, embeddings=[[0.5, 1.0]])
    [(_, result)] = handled(FakeBus(), delivered(answer))
    assert (result["status"], result["embeddings"], result["message"]) == ("succeeded", [[0.5, 1.0]], None)
    assert Decimal(result["cost_known_usd"]) == 0 and timedelta(seconds=2).total_seconds() == result["duration_s"]
