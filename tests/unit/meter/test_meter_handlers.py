"""What the meter publishes, logs and answers."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bus.connection import Ack
from bus.delivery import Delivery
from bus.errors import Reject, Retry
from bus.subjects import Subjects
from services.meter.handlers import Handlers
from services.meter.ledger import Ledger

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SUBJECTS = Subjects()


class FakeBus:
    """Keeps what is published."""

    def __init__(self) -> None:
        self.subjects = SUBJECTS
        self.published: list[tuple[str, str | None, dict[str, Any]]] = []

    async def publish(self, subject: str, body: bytes, headers: dict[str, str] | None = None, *, none_on: str | None = None, msg_id: str | None = None) -> Ack:
        assert none_on is None
        self.published.append((subject, msg_id, json.loads(body)))
        return Ack()


def delivered(outcome: str = "answered", *, cost: str | None = None, estimate: str | None = None, ended: str = "answered") -> Delivery:
    origin = {"request_id": "job-1", "tenant": "acme", "kind": "chat", "route": None, "lane": "bulk", "metadata": {"ticket": "T-1"}, "request_seq": 1}
    body = {
        "origin": {**origin, "request_sha256": "0" * 64, "requested_at": NOW.isoformat(), "deadline": NOW.isoformat()},
        "slip": {"candidates": []},
        "summary": {"n": 1, "provider": "p", "model": "m", "outcome": ended, "cost_usd": cost, "usage": {"input_tokens": 12, "output_tokens": 3}},
        "message": {"role": "assistant", "content": "a secret of the tenant"},
        "cost_basis": "unknown" if cost is None else "usage",
        "estimated_cost_usd": estimate,
        "call_seq": 9,
        "occurred_at": NOW.isoformat(),
    }
    tokens = ["attempt", outcome, "bulk", "acme", "job-1", "1"]
    return Delivery(SUBJECTS.attempt(*tokens[1:]), tokens, json.dumps(body).encode(), {}, "ATTEMPTS", 5, 1, NOW)


def handled(ledger: Ledger, *deliveries: Delivery) -> list[tuple[str, str | None, dict[str, Any]]]:
    async def run() -> list[tuple[str, str | None, dict[str, Any]]]:
        bus = FakeBus()
        handlers = Handlers(bus, ledger)  # type: ignore[arg-type]  # a fake in the shape of the bus
        for delivery in deliveries:
            await handlers.on_attempt(delivery)
        return bus.published

    return asyncio.run(run())


def answered(ledger: Ledger, question: bytes) -> dict[str, Any]:
    handlers = Handlers(FakeBus(), ledger)  # type: ignore[arg-type]  # a fake in the shape of the bus
    answer: dict[str, Any] = json.loads(asyncio.run(handlers.on_question(question)))
    return answer


def test_a_recorded_call_is_told_as_a_cost(ledger: Ledger) -> None:
    [(subject, msg_id, event)] = handled(ledger, delivered(cost="0.00000024"))
    assert (subject, msg_id) == (SUBJECTS.cost("acme"), "cost:acme/job-1/1:answered")
    assert (event["call_id"], event["cost_usd"], event["basis"], event["metadata"]) == ("acme/job-1/1", "0.00000024", "usage", {"ticket": "T-1"})


def test_an_unknown_outcome_costs_its_estimate_until_the_late_answer_comes(ledger: Ledger) -> None:
    lost, late = delivered("failed", estimate="0.5", ended="outcome_unknown"), delivered("late", cost="0.25")
    told = handled(ledger, lost, late, lost)
    assert [(msg_id, event["cost_usd"], event["basis"]) for _, msg_id, event in told] == [
        ("cost:acme/job-1/1:failed", "0.5", "estimate"),
        ("cost:acme/job-1/1:late", "0.25", "usage"),
        (None, "0.25", "usage"),
    ]
    assert answered(ledger, b"")["total_usd"] == "0.25"


class SlowBus(FakeBus):
    """Before the estimate is stored, another meter takes the late answer and tells it."""

    def __init__(self, other: Handlers, late: Delivery) -> None:
        super().__init__()
        self._other, self._late = other, late

    async def publish(self, subject: str, body: bytes, headers: dict[str, str] | None = None, *, none_on: str | None = None, msg_id: str | None = None) -> Ack:
        if msg_id == "cost:acme/job-1/1:failed":
            await self._other.on_attempt(self._late)
        return await super().publish(subject, body, headers, none_on=none_on, msg_id=msg_id)


def test_of_two_meters_the_slower_one_does_not_have_the_last_word_with_its_estimate(ledger: Ledger) -> None:
    async def run() -> list[tuple[str, str | None, dict[str, Any]]]:
        swift = FakeBus()
        slow = SlowBus(Handlers(swift, ledger), delivered("late", cost="0.25"))  # type: ignore[arg-type]  # a fake in the shape of the bus
        swift.published = slow.published
        await Handlers(slow, ledger).on_attempt(delivered("failed", estimate="0.5", ended="outcome_unknown"))  # type: ignore[arg-type]  # the same
        return slow.published

    assert [event["cost_usd"] for _, _, event in asyncio.run(run())] == ["0.25", "0.5", "0.25"]
    assert answered(ledger, b"")["total_usd"] == "0.25"


def test_a_redelivered_attempt_does_not_undo_a_correction_and_the_correction_is_told_last(ledger: Ledger) -> None:
    handled(ledger, delivered(cost="1"))
    [row] = next(ledger.pages())
    ledger.merge([{**row, "cost_usd": "2", "price_version": "config@2", "repriced_at": "2026-11-22T00:00:00.000000Z"}])
    again = delivered(cost="1")
    again.deliveries = 2
    [(_, _, event)] = handled(ledger, again)
    assert (event["cost_usd"], event["price_version"], event["repriced_at"]) == ("2", "config@2", "2026-11-22T00:00:00Z")
    assert answered(ledger, b"")["total_usd"] == "2"


def test_an_attempt_that_can_have_no_later_version_is_told_once(ledger: Ledger) -> None:
    assert len(handled(ledger, delivered(cost="1"))) == 1


def test_a_meter_says_which_file_it_writes_but_no_url_of_a_server(ledger: Ledger) -> None:
    handlers = Handlers(FakeBus(), ledger)  # type: ignore[arg-type]  # a fake in the shape of the bus
    told = json.loads(asyncio.run(handlers.on_whereabouts(b"")))
    here = ledger.engine.dialect.name
    assert told["kept_in"] == here
    assert (told["file"] is not None) == (here == "sqlite")
    assert "127.0.0.1" not in json.dumps(told)


def test_costs_are_reported_by_kind_lane_and_metadata(ledger: Ledger) -> None:
    handled(ledger, delivered(cost="1"))
    question = {"by": ["metadata.ticket", "metadata.none", "kind", "lane", "route"], "since": "2026-11-21", "until": "2026-11-22"}
    [row] = answered(ledger, json.dumps(question).encode())["rows"]
    assert {name: row[name] for name in question["by"]} == {"metadata.ticket": "T-1", "metadata.none": None, "kind": "chat", "lane": "bulk", "route": None}


def test_t2_a_call_of_unknown_price_is_told_as_null(ledger: Ledger) -> None:
    [(_, _, event)] = handled(ledger, delivered())
    assert (event["cost_usd"], event["basis"]) == (None, "unknown")


def test_j5_the_log_line_tells_cost_and_tokens_and_no_text(ledger: Ledger) -> None:
    with capture_logs() as lines:
        handled(ledger, delivered(cost="0.000081"))
    [line] = [line for line in lines if line["event"] == "metered"]
    assert (line["cost_usd"], line["input_tokens"], line["output_tokens"]) == ("0.000081", 12, 3)
    assert "secret" not in repr(lines)


def test_an_attempt_that_cannot_be_read_is_rejected(ledger: Ledger) -> None:
    broken = delivered()
    with pytest.raises(Reject):
        handled(ledger, Delivery(broken.subject, broken.tokens, b"{}", {}, "ATTEMPTS", 5, 1, NOW))


def test_a_ledger_that_cannot_be_written_is_tried_again_and_nothing_is_told(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path / 'no-such-folder' / 'ledger.db'}")
    with pytest.raises(Retry):
        handled(ledger, delivered())
    assert "HEADRACE_METER_LEDGER_URL" in answered(ledger, b"{}")["error"]
    ledger.close()


@pytest.mark.parametrize(
    "question",
    [
        b"not json",
        b"[]",
        b'{"by": []}',
        b'{"by": ["prompt"]}',
        b'{"since": "soon"}',
        b'{"bye": ["day"]}',
        b'{"by": ["metadata."]}',
        b'{"by": ["metadata.a\\"b"]}',
    ],
)
def test_a_question_that_makes_no_sense_is_answered_with_its_error(ledger: Ledger, question: bytes) -> None:
    assert set(answered(ledger, question)) == {"error"}


def test_an_error_names_the_field(ledger: Ledger) -> None:
    assert answered(ledger, b'{"by": ["prompt"]}')["error"].startswith("by.0: ")
