"""What the bus itself holds of one request: everything that was stored on its way, in order."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from bus.connection import Bus
from bus.letters import Chosen, letters
from bus.stored import Stored
from cli.show import money, shown, why
from contracts.attempt import AttemptFinishedV1
from contracts.call import CallBegunV1, CallV1
from contracts.dead_letter import DeadLetterV1
from contracts.identity import RESERVED
from contracts.result import ResultV1
from contracts.verdict import RepairOrderedV1

SEARCHED_REQUESTS = 5000
"""How many of the newest requests are looked through for one that nothing else points to yet."""
SEARCHED_LETTERS = 5000
"""How many of a tenant's dead letters since the request."""

RANK = {"request": 0, "queued": 1}
"""What comes first of what has the same time."""


@dataclass(frozen=True)
class Event:
    """One record of the bus. `n` is the call it belongs to, 0 for the request itself."""

    at: datetime
    n: int
    what: str
    text: str
    facts: dict[str, Any] = field(default_factory=dict)


async def events_of(bus: Bus, tenant: str, request_id: str) -> list[Event]:
    """All records of a request, in the order in which the bus stored them."""
    subjects = bus.subjects
    finished = await bus.scan("ATTEMPTS", 1, 256, subjects.any_attempt(tenant, request_id))
    result = await bus.last("RESULTS", subjects.result(tenant, request_id))
    calls = await bus.scan("CALLS", 1, 64, subjects.any_call(tenant, request_id))
    begun = [_begun(stored) for stored in await bus.scan("JOURNAL", 1, 256, subjects.begun(tenant, request_id, "*"))]
    events = [_attempt(stored) for stored in finished] + begun + _waits(finished, begun, calls)
    events += [_verdict(stored) for stored in await bus.scan("VERDICTS", 1, 256, subjects.verdict("*", tenant, request_id, "*"))]
    events += [_cancel(stored) for stored in await bus.scan("CANCELS", 1, 16, subjects.cancel(tenant, request_id))]
    events += [_call(stored) for stored in calls]
    events += [_result(result)] if result else []
    request = await _request(bus, tenant, request_id, _request_seq(request_id, finished, result, calls))
    events += [_requested(request)] if request else []
    if events:
        events += await _dead(bus, tenant, request_id, min(event.at for event in events), request.seq if request else None)
    return sorted(events, key=lambda event: (event.at, RANK.get(event.what, len(RANK))))


def trace_id_of(events: Iterable[Event]) -> str | None:
    """The trace under which the spans of this request were sent, if any were."""
    return next((str(event.facts["trace_id"]) for event in events if event.facts.get("trace_id")), None)


def _request_seq(request_id: str, finished: Iterable[Stored], result: Stored | None, calls: Iterable[Stored]) -> int | None:
    """Where the request stands in REQUESTS, as anything that came of it says."""
    if result is not None and (seq := ResultV1.model_validate_json(result.body).request_seq) is not None:
        return seq
    for stored in finished:
        return AttemptFinishedV1.model_validate_json(stored.body).origin.request_seq
    for call in map(_readable, calls):
        if call is not None:
            return call.origin.request_seq
    named = request_id.removeprefix(RESERVED)
    return int(named) if request_id.startswith(RESERVED) and named.isdecimal() else None


async def _request(bus: Bus, tenant: str, request_id: str, seq: int | None) -> Stored | None:
    if seq is not None:
        found = await bus.get("REQUESTS", seq)
        return found if found is not None and bus.subjects.tokens(found.subject)[1] == tenant else None
    newest = await bus.last("REQUESTS", f"{bus.subjects.prefix}request.{tenant}.>")
    if newest is None:
        return None
    at, needle, found = max(newest.seq - SEARCHED_REQUESTS, 1), f'"{request_id}"'.encode(), None
    while found is None and (page := await bus.scan("REQUESTS", at, 512, f"{bus.subjects.prefix}request.{tenant}.>")):
        at = page[-1].seq + 1
        found = next((stored for stored in page if needle in stored.body), None)
    return found


def _last_number(subject: str) -> int:
    return int(subject.rsplit(".", 1)[1])


def _requested(stored: Stored) -> Event:
    facts = {"stream_seq": stored.seq, "subject": stored.subject, "bytes": len(stored.body)}
    return Event(stored.stored_at, 0, "request", f"stored as {stored.seq} in REQUESTS, {len(stored.body)} bytes on {stored.subject}", facts)


def _readable(stored: Stored) -> CallV1 | None:
    """A call, unless somebody stored what is none: its dead letter tells of it."""
    try:
        return CallV1.model_validate_json(stored.body)
    except ValidationError:
        return None


def _call(stored: Stored) -> Event:
    call, due = _readable(stored), stored.headers.get("Nats-Schedule", "").removeprefix("@at ")
    n = _last_number(stored.subject)
    if call is None:
        return Event(stored.stored_at, n, "call", "bytes that are no call are on the bus")
    text = f"call {n} to {call.provider}/{call.model} is on the bus" + (f", put off {call.tries} time(s)" if call.tries else "")
    facts = {"provider": call.provider, "model": call.model, "tries": call.tries, "due": due or None, "trace_id": call.origin.trace_id}
    return Event(stored.stored_at, n, "call", text + (f", to be served from {due} on" if due else ""), facts)


def _waits(finished: Iterable[Stored], begun: Iterable[Event], calls: Iterable[Stored]) -> list[Event]:
    """When calls that have left the bus had come into their queue, as their attempts tell."""
    begun_at, there, waits = {event.n: event.at for event in begun}, {_last_number(stored.subject) for stored in calls}, []
    for stored in finished:
        n, attempt = _last_number(stored.subject), AttemptFinishedV1.model_validate_json(stored.body)
        if attempt.queue_s is not None and n in begun_at and n not in there:
            there.add(n)
            at = min(max(_queued_at(attempt, begun_at[n]), attempt.origin.requested_at), begun_at[n])
            waits.append(Event(at, n, "queued", f"for its provider, {attempt.queue_s:.3f} s", {"queue_s": attempt.queue_s}))
    return waits


def _queued_at(attempt: AttemptFinishedV1, begun_at: datetime) -> datetime:
    """Before it waited, and before it was dialled; one that was lost was dialled nobody knows how long."""
    summary, waited = attempt.summary, timedelta(seconds=attempt.queue_s or 0)
    lost = summary.outcome == "outcome_unknown" and not summary.duration_s
    return begun_at - waited if lost else attempt.occurred_at - timedelta(seconds=summary.duration_s or 0) - waited


async def _dead(bus: Bus, tenant: str, request_id: str, since: datetime, request_seq: int | None) -> list[Event]:
    """Dead letters of this request: on whatever subject it died, or as the request that nobody could read."""
    found, looked = [], 0
    async for _, letter in letters(bus, Chosen(tenant=tenant, since=since)):
        looked += 1
        if letter.request_id == request_id or (letter.source.stream == "REQUESTS" and letter.source.sequence == request_seq):
            found.append(_letter(letter))
        if looked == SEARCHED_LETTERS:
            break
    return found


def _letter(letter: DeadLetterV1) -> Event:
    source = letter.source
    text = f"{letter.service} parked {source.stream} {source.sequence}, delivery {source.deliveries}: {letter.reason}, {letter.message}"
    facts = {"id": letter.id, "service": letter.service, "reason": letter.reason, "deliveries": source.deliveries, "trace_id": letter.trace_id}
    n = source.subject.rpartition(".")[2]
    return Event(letter.failed_at, int(n) if letter.call_ids and n.isdecimal() else 0, "dead letter", text, facts)


def _begun(stored: Stored) -> Event:
    begun = CallBegunV1.model_validate_json(stored.body)
    text = f"by the {begun.writer}, delivery {begun.delivery}"
    return Event(stored.stored_at, _last_number(stored.subject), "begun", text, {"writer": begun.writer, "delivery": begun.delivery})


def _attempt(stored: Stored) -> Event:
    attempt = AttemptFinishedV1.model_validate_json(stored.body)
    summary = attempt.summary
    late = ".attempt.late." in stored.subject
    text = f"{'late, ' if late else ''}{summary.outcome} by {summary.provider}/{summary.model}"
    if summary.error is not None:
        text += f": {summary.error.message}"
    else:
        text += f", {shown(summary.usage.input_tokens)}+{shown(summary.usage.output_tokens)} tokens, {money(summary.cost_usd)}"
    facts = {"outcome": summary.outcome, "late": late, "provider": summary.provider, "model": summary.model, "cost_usd": summary.cost_usd}
    facts |= {"queue_s": attempt.queue_s, "duration_s": summary.duration_s, "first_token_s": attempt.first_token_s, "trace_id": attempt.origin.trace_id}
    return Event(stored.stored_at, summary.n, "attempt", text, facts)


def _verdict(stored: Stored) -> Event:
    order = RepairOrderedV1.model_validate_json(stored.body)
    return Event(stored.stored_at, order.attempt.summary.n, "verdict", "ask again: " + "; ".join(order.problems), {"problems": order.problems})


def _cancel(stored: Stored) -> Event:
    return Event(stored.stored_at, 0, "cancel", "a cancel was stored")


def _result(stored: Stored) -> Event:
    result = ResultV1.model_validate_json(stored.body)
    text = result.status + (f", {why(result)}" if result.error else "") + f", {money(result.cost_usd)}"
    facts = {"status": result.status, "stream_seq": stored.seq, "cost_usd": result.cost_usd, "trace_id": result.trace_id}
    return Event(stored.stored_at, 0, "result", text, facts)
