"""`headrace trace`: a request's way, read from the bus's own records."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.tree import Tree

from bus.connection import Bus
from bus.stored import Stored
from cli.results import checked_id
from cli.session import Failure, Session, run, session_of
from cli.show import STYLES, as_json, console, escaped, money, shown, why
from contracts.attempt import AttemptFinishedV1
from contracts.call import CallBegunV1, CallV1
from contracts.result import ResultV1
from contracts.verdict import RepairOrderedV1

SEARCHED_REQUESTS = 5000
"""How many of the newest requests are looked through for one that nothing else points to yet."""


@dataclass(frozen=True)
class Event:
    """One record of the bus. `n` is the call it belongs to, 0 for the request itself."""

    at: datetime
    n: int
    what: str
    text: str
    facts: dict[str, Any] = field(default_factory=dict)


def register(app: typer.Typer) -> None:
    app.command("trace")(trace)


def trace(context: typer.Context, request_id: Annotated[str, typer.Argument(metavar="ID", help="The request.")]) -> None:
    """What happened to a request, when, and how long each step took."""
    run(_trace(session_of(context), checked_id(request_id)))


async def _trace(session: Session, request_id: str) -> int:
    async with session.bus() as bus:
        events = await events_of(bus, session.tenant, request_id)
    if not events:
        raise Failure(f"the bus knows nothing of request {request_id!r} of tenant {session.tenant!r}: check --tenant, or it is older than the streams keep")
    if session.json:
        as_json([{"at": event.at.isoformat(), "n": event.n, "event": event.what, "text": event.text, **event.facts} for event in events])
    else:
        console().print(tree(request_id, events))
    return 0


async def events_of(bus: Bus, tenant: str, request_id: str) -> list[Event]:
    """All records of a request, in the order in which the bus stored them."""
    subjects = bus.subjects
    finished = await bus.scan("ATTEMPTS", 1, 256, subjects.any_attempt(tenant, request_id))
    result = await bus.last("RESULTS", subjects.result(tenant, request_id))
    calls = await bus.scan("CALLS", 1, 64, subjects.any_call(tenant, request_id))
    events = [_attempt(stored) for stored in finished]
    events += [_begun(stored) for stored in await bus.scan("JOURNAL", 1, 256, subjects.begun(tenant, request_id, "*"))]
    events += [_verdict(stored) for stored in await bus.scan("VERDICTS", 1, 256, subjects.verdict("*", tenant, request_id, "*"))]
    events += [_cancel(stored) for stored in await bus.scan("CANCELS", 1, 16, subjects.cancel(tenant, request_id))]
    events += [_call(stored) for stored in calls]
    events += [_result(result)] if result else []
    request = await _request(bus, tenant, request_id, _request_seq(finished, result, calls))
    events += [_requested(request)] if request else []
    return sorted(events, key=lambda event: event.at)


def _request_seq(finished: Iterable[Stored], result: Stored | None, calls: Iterable[Stored]) -> int | None:
    """Where the request stands in REQUESTS, as anything that came of it says."""
    if result is not None and (seq := ResultV1.model_validate_json(result.body).request_seq) is not None:
        return seq
    for stored in finished:
        return AttemptFinishedV1.model_validate_json(stored.body).origin.request_seq
    for stored in calls:
        return CallV1.model_validate_json(stored.body).origin.request_seq
    return None


async def _request(bus: Bus, tenant: str, request_id: str, seq: int | None) -> Stored | None:
    if seq is not None:
        return await bus.get("REQUESTS", seq)
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


def _call(stored: Stored) -> Event:
    call = CallV1.model_validate_json(stored.body)
    text = f"call {call.n} to {call.provider}/{call.model} is on the bus" + (f", put off {call.tries} time(s)" if call.tries else "")
    return Event(stored.stored_at, call.n, "call", text, {"provider": call.provider, "model": call.model, "tries": call.tries})


def _begun(stored: Stored) -> Event:
    begun = CallBegunV1.model_validate_json(stored.body)
    text = f"begun by the {begun.writer}, delivery {begun.delivery}"
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
    return Event(stored.stored_at, summary.n, "attempt", text, {**facts, "duration_s": summary.duration_s, "first_token_s": attempt.first_token_s})


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


def tree(request_id: str, events: list[Event]) -> Tree:
    """Calls as branches; each line with the seconds since the request and since the line before."""
    start = before = events[0].at
    root = Tree(f"[bold]{request_id}[/bold]  {start.isoformat(timespec='milliseconds')}")
    branches: dict[int, Tree] = {0: root}
    for event in events:
        if event.n not in branches:
            branches[event.n] = root.add(f"[bold]call {event.n}[/bold]")
        times = f"[dim]{(event.at - start).total_seconds():8.3f} s  +{(event.at - before).total_seconds():.3f}[/dim]"
        style = STYLES.get(str(event.facts.get("status")), "")
        line = f"{times}  [bold]{event.what}[/bold] {escaped(event.text)}"
        branches[event.n].add(f"[{style}]{line}[/{style}]" if style else line)
        before = event.at
    return root
