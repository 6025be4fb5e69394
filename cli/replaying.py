"""`headrace replay`: stored requests asked again under another route, model or output schema, and the answers side by side."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from bus import requests
from bus.awaiting import Results
from bus.connection import Bus
from bus.replay import Changes, NotReplayable, Replayed, anew, result_of, send
from bus.requests import StoredRequest
from cli import rehearsal, replay_report
from cli.batches import bar, each, through_outages
from cli.comparison import Pair
from cli.results import checked_id, since_of
from cli.selection import Selection, selection
from cli.session import Failure, Session, run, session_of
from cli.show import json_line, notes
from contracts.result import ResultV1

SHOWN_PROBLEMS = 10


@dataclass(frozen=True)
class Order:
    """What a `headrace replay` is told to do."""

    ids: tuple[str, ...]
    selection: Selection
    since: datetime | int | None
    until: datetime | int | None
    limit: int | None
    changes: Changes


def register(app: typer.Typer) -> None:
    app.command("replay")(replay)


def replay(
    context: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Requests; else those that the filters choose.")] = None,
    route: Annotated[str | None, typer.Option(help="Ask over this route.")] = None,
    model: Annotated[str | None, typer.Option(help="Ask this provider/model.")] = None,
    output_schema: Annotated[Path | None, typer.Option(help="A JSON Schema that the answers must satisfy.", exists=True, dir_okay=False)] = None,
    since: Annotated[str | None, typer.Option(help="Stored from then on: an age (10m, 2h), a time or a sequence.")] = None,
    until: Annotated[str | None, typer.Option(help="Stored before then.")] = None,
    status: Annotated[str | None, typer.Option(help="How they ended, with commas; 'none' has no result yet.")] = None,
    where: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE: kind, lane, model, provider, route or metadata.KEY. May be repeated; all must hold.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many, the oldest first.", min=1)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, and about what it would cost.")] = False,
    concurrency: Annotated[int, typer.Option(help="Requests in flight at once.", min=1, max=4096)] = 64,
    out: Annotated[Path | None, typer.Option(help="Where the new results go, one a line.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for each result.", min=0.1)] = 86400,
) -> None:
    """Ask stored requests again (48 h) and compare the answers. A replay that was done makes no call. Exit 1 unless all succeeded."""
    session = session_of(context)
    chosen = (status, where, since, until, limit)
    if ids and any(chosen):
        raise typer.BadParameter("give either IDs or filters", param_hint="ID")
    if not ids and not any(chosen):
        raise typer.BadParameter("give IDs, or a filter: --since, --until, --status, --where, --limit", param_hint="ID")
    now = datetime.now(UTC)
    order = Order(
        tuple(dict.fromkeys(checked_id(one) for one in ids or [])),
        selection(status, where or []),
        since_of(since, now),
        since_of(until, now),
        limit,
        Changes(route, model, None if output_schema is None else schema_in(output_schema)),
    )
    run(
        rehearsal.rehearse(session, order.changes, lambda bus: planned(bus, session.tenant, order))
        if dry_run
        else _replay(session, order, concurrency, out, timeout)
    )


def schema_in(path: Path) -> dict[str, Any]:
    try:
        schema = json.loads(path.read_text())
    except ValueError as error:
        raise typer.BadParameter(f"{path} is not JSON: {error}", param_hint="--output-schema") from error
    if not isinstance(schema, dict):
        raise typer.BadParameter(f"{path} holds no JSON object; a JSON Schema is one", param_hint="--output-schema")
    return schema


async def planned(bus: Bus, tenant: str, order: Order) -> list[int]:
    """The sequences of what is to be replayed. Raises Failure for an ID that is not there."""
    if order.ids:
        found = await requests.sequences(bus, tenant, order.ids)
        missing = [one for one in order.ids if one not in found]
        if missing:
            raise Failure(f"no request {missing[0]!r} of tenant {tenant!r} in REQUESTS (48 h){f', and {len(missing) - 1} more' if missing[1:] else ''}")
        return [found[one] for one in order.ids]
    return [seq async for seq in _matching(bus, tenant, order)]


async def _matching(bus: Bus, tenant: str, order: Order) -> AsyncIterator[int]:
    seen: set[str] = set()
    async for page in requests.pages(bus, tenant, order.since, order.until):
        results = await asyncio.gather(*(result_of(bus, tenant, request.request_id) for request in page))
        for request, result in zip(page, results, strict=True):
            if request.request_id not in seen and order.selection.takes(request, result):
                seen.add(request.request_id)
                yield request.seq
                if len(seen) == order.limit:
                    return


async def read(bus: Bus, seq: int) -> StoredRequest:
    """Raises NotReplayable."""
    try:
        request = await requests.at(bus, seq)
    except ValueError as error:
        raise NotReplayable(f"message {seq} of REQUESTS is not a request: {error}") from error
    if request is None:
        raise NotReplayable(f"request {seq} has left REQUESTS (48 h)")
    return request


async def _replay(session: Session, order: Order, concurrency: int, out: Path | None, timeout_s: float) -> int:
    report, problems = replay_report.report(session.json), list[str]()
    async with session.bus() as bus:
        with bar("replay") as progress, _opened(out) as handle:
            todo = await planned(bus, session.tenant, order)
            progress.expect(len(todo))
            async with Results(bus, session.tenant) as results:

                async def work(seq: int) -> None:
                    try:
                        pair = await _asked_again(bus, results, seq, order.changes, timeout_s)
                    except NotReplayable as error:
                        problems.append(str(error))
                    else:
                        report.add(pair)
                        if handle is not None:
                            print(json_line(pair.new), file=handle, flush=True)
                    progress.advance()

                await each(todo, work, min(concurrency, max(len(todo), 1)))
    report.end(problems)
    tell(problems)
    return 0 if not problems and report.totals.new.statuses["succeeded"] == len(todo) else 1


async def _asked_again(bus: Bus, results: Results, seq: int, changes: Changes, timeout_s: float) -> Pair:
    async def sent() -> tuple[StoredRequest, ResultV1 | None, Replayed]:
        request = await read(bus, seq)
        return request, await result_of(bus, request.tenant, request.request_id), await send(bus, anew(bus, request, changes))

    request, old, done = await through_outages(sent)
    new = done.result or await results.result(str(done.request_id), timeout_s)
    return Pair(request.request_id, str(done.request_id), done.sent, old, new)


@contextmanager
def _opened(out: Path | None) -> Iterator[TextIO | None]:
    if out is None:
        yield None
        return
    with out.open("w") as handle:
        yield handle


def tell(problems: list[str]) -> None:
    """What could not be sent, on stderr: the first few, and how many there are."""
    for problem in problems[:SHOWN_PROBLEMS]:
        notes().print(f"not replayed: {problem}", markup=False, highlight=False)
    if problems[SHOWN_PROBLEMS:]:
        notes().print(f"not replayed: {len(problems) - SHOWN_PROBLEMS} more")
