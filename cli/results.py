"""`headrace results` and `headrace cancel`: how requests ended, and ending them."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from cli.moments import moment_of
from cli.session import Failure, Session, run, session_of
from cli.show import STYLES, answer, as_json, clock, console, escaped, json_line, latency_s, money, results_table, seconds
from contracts.base import REQUEST_ID


def register(app: typer.Typer) -> None:
    app.command("results")(results)
    app.command("cancel")(cancel)


def since_of(text: str | None, now: datetime) -> datetime | int | None:
    """A sequence (`42`), an age (`10m`, `2h`) or an RFC 3339 time."""
    if text is None:
        return None
    if text.isdecimal():
        return max(int(text), 1)
    return moment_of(text, now, "--since", " or a sequence")


def checked_id(request_id: str) -> str:
    if not REQUEST_ID.match(request_id):
        raise typer.BadParameter(f"{request_id!r} is not a request id: letters, digits, '_' and '-', at most 64", param_hint="ID")
    return request_id


def results(
    context: typer.Context,
    request_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="One request's result; else those of the tenant.")] = None,
    since: Annotated[str | None, typer.Option(help="From then on: an age (10m, 2h), a time or a sequence.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with those to come, or wait for the one.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait with --follow and an ID.", min=0.1)] = 3600,
) -> None:
    """Show results as the bus holds them. With --json: one object for an ID, else an array; with --follow one a line."""
    session = session_of(context)
    start = since_of(since, datetime.now(UTC))
    run(_one(session, checked_id(request_id), timeout if follow else None) if request_id else _many(session, start, follow))


async def _one(session: Session, request_id: str, timeout_s: float | None) -> int:
    async with session.client() as client:
        found = await client.result(request_id, timeout_s) if timeout_s else await client.find(request_id)
    if found is None:
        raise Failure(f"no result of {request_id!r} for tenant {session.tenant!r}: under way, or too old; see 'headrace trace {request_id}'")
    if session.json:
        print(json_line(found))
    else:
        console().print(results_table([found], title=""))
        print(answer(found))
    return 0


async def _many(session: Session, since: datetime | int | None, follow: bool) -> int:
    async with session.client() as client:
        if follow:
            async for result in client.results(since if since is not None else datetime.now(UTC), follow=True):
                if session.json:
                    print(json_line(result), flush=True)
                    continue
                style = STYLES.get(result.status, "white")
                facts = f"{money(result.cost_usd)} {seconds(latency_s(result))} s  {escaped(answer(result)[:100])}".replace("\n", " ")
                console().print(f"{clock(result.finished_at)} [{style}]{result.status}[/{style}] {result.request_id}  {facts}")
            return 0
        found = [result async for result in client.results(since)]
    if session.json:
        as_json([result.model_dump(mode="json") for result in found])
    else:
        console().print(results_table(found))
    return 0


def cancel(
    context: typer.Context,
    request_id: Annotated[str, typer.Argument(metavar="ID", help="The request to end.")],
    reason: Annotated[str | None, typer.Option(help="Why; kept with the cancel.")] = None,
) -> None:
    """End a request, begun or not. After its result this does nothing."""
    run(_cancel(session_of(context), checked_id(request_id), reason))


async def _cancel(session: Session, request_id: str, reason: str | None) -> int:
    async with session.client() as client:
        await client.cancel(request_id, reason)
    if session.json:
        as_json({"request_id": request_id, "cancel": "stored"})
    else:
        print(f"cancel of {request_id} stored; its result will say 'cancelled' unless it had ended")
    return 0
