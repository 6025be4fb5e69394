"""`headrace trace`: a request's way, read from the bus's own records."""

from typing import Annotated

import typer
from rich.tree import Tree

from cli.records import Event, events_of, trace_id_of
from cli.results import checked_id
from cli.session import Failure, Session, run, session_of
from cli.show import STYLES, as_json, console, escaped


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


def tree(request_id: str, events: list[Event]) -> Tree:
    """Calls as branches; each line with the seconds since the request and since the line before."""
    start = before = events[0].at
    trace_id = trace_id_of(events)
    root = Tree(f"[bold]{request_id}[/bold]  {start.isoformat(timespec='milliseconds')}" + (f"  trace {trace_id}" if trace_id else ""))
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
