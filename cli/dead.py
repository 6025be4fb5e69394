"""`headrace dead`: messages that no service could handle, shown and sent again."""

import base64
from typing import Annotated

import typer
from rich.table import Table

from bus.connection import Bus
from bus.replay import NotReplayable, dead_letters, find, replay
from cli.session import Failure, Session, run, session_of
from cli.show import as_json, console, escaped
from contracts.dead_letter import DeadLetterV1

app = typer.Typer(help="Dead letters: list, show, replay.", no_args_is_help=True)

LetterId = Annotated[str, typer.Argument(metavar="ID", help="As 'headrace dead list' prints it.")]


@app.command("list")
def list_letters(context: typer.Context) -> None:
    """All dead letters, oldest first; with --tenant those of one. With --json an array."""
    run(_list(session_of(context)))


async def _list(session: Session) -> int:
    async with session.bus() as bus:
        letters = [letter async for letter in dead_letters(bus, session.tenant_given)]
    if session.json:
        as_json([letter.model_dump(mode="json") for letter in letters])
        return 0
    table = Table(title="Dead letters")
    for name in ("id", "at", "tenant", "request", "reason", "message"):
        table.add_column(name, overflow="fold")
    for letter in letters:
        at = letter.failed_at.isoformat(timespec="seconds")
        table.add_row(letter.id, at, letter.tenant or "", letter.request_id or "", letter.reason, escaped(letter.message[:200]))
    console().print(table)
    return 0


@app.command("show")
def show(context: typer.Context, letter_id: LetterId) -> None:
    """One dead letter, its bytes as text where they are text."""
    run(_show(session_of(context), letter_id))


async def _show(session: Session, letter_id: str) -> int:
    async with session.bus() as bus:
        letter = await _found(bus, letter_id)
    document = letter.model_dump(mode="json")
    if not session.json:
        body = base64.b64decode(document.pop("body_base64"))
        document["body"] = body.decode("utf-8", errors="backslashreplace")
    as_json(document)
    return 0


@app.command("replay")
def replay_letter(
    context: typer.Context,
    letter_id: LetterId,
    route: Annotated[str | None, typer.Option(help="As a new request, over this route.")] = None,
    model: Annotated[str | None, typer.Option(help="As a new request, to this provider/model.")] = None,
) -> None:
    """Send the same bytes again, only while the request has no result; with --route or --model a new request."""
    run(_replay(session_of(context), letter_id, route, model))


async def _replay(session: Session, letter_id: str, route: str | None, model: str | None) -> int:
    async with session.bus() as bus:
        letter = await _found(bus, letter_id)
        try:
            done = await replay(bus, letter, route=route, model=model)
        except NotReplayable as error:
            raise Failure(str(error)) from error
    if session.json:
        as_json({"id": letter_id, "request_id": done.request_id, "sent": done.sent, "subject": done.subject})
    elif done.sent:
        print(f"sent to {done.subject}" + (f"; read its result with 'headrace results {done.request_id}'" if done.request_id else ""))
    else:
        print(f"nothing sent: request {done.request_id} has its result; read it with 'headrace results {done.request_id}'")
    return 0


async def _found(bus: Bus, letter_id: str) -> DeadLetterV1:
    letter = await find(bus, letter_id)
    if letter is None:
        raise Failure(f"no dead letter {letter_id!r}; 'headrace dead list' shows those there are")
    return letter
