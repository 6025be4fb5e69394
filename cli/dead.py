"""`headrace dead`: messages that no service could handle, shown and sent again."""

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from bus.connection import Bus
from bus.letters import Chosen, find, letters
from cli import dead_replay
from cli.results import since_of
from cli.session import Failure, Session, run, session_of
from cli.show import JsonArray, as_json, console, escaped
from contracts.dead_letter import DeadLetterV1

app = typer.Typer(help="Dead letters: list, show, replay.", no_args_is_help=True)
dead_replay.register(app)

ROWS_A_TABLE = 200


@app.command("list")
def list_letters(
    context: typer.Context,
    service: Annotated[str | None, typer.Option(help="Those that this service buried.")] = None,
    reason: Annotated[str | None, typer.Option(help="Those with this reason.")] = None,
    since: Annotated[str | None, typer.Option(help="From then on: an age (10m, 2h), a time or a sequence.")] = None,
) -> None:
    """Dead letters, oldest first; with --tenant those of one. With --json an array."""
    session = session_of(context)
    run(_list(session, Chosen(service, session.tenant_given, reason, since_of(since, datetime.now(UTC)))))


async def _list(session: Session, chosen: Chosen) -> int:
    async with session.bus() as bus:
        found = (letter async for _, letter in letters(bus, chosen))
        if session.json:
            array = JsonArray()
            async for letter in found:
                array.add(letter.model_dump(mode="json"))
            array.end()
        else:
            await _print_tables(found)
    return 0


async def _print_tables(found: AsyncIterator[DeadLetterV1]) -> None:
    """A table for every so many letters, so that a hundred thousand need no memory."""
    table, printed = _table(), False
    async for letter in found:
        at = letter.failed_at.isoformat(timespec="seconds")
        table.add_row(letter.id, at, letter.tenant or "", letter.request_id or "", letter.reason, escaped(letter.message[:200]))
        if table.row_count == ROWS_A_TABLE:
            console().print(table)
            table, printed = _table(), True
    if table.row_count or not printed:
        console().print(table)


def _table() -> Table:
    table = Table(title="Dead letters")
    for name in ("id", "at", "tenant", "request", "reason", "message"):
        table.add_column(name, overflow="fold")
    return table


@app.command("show")
def show(context: typer.Context, letter_id: Annotated[str, typer.Argument(metavar="ID", help="As 'headrace dead list' prints it.")]) -> None:
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


async def _found(bus: Bus, letter_id: str) -> DeadLetterV1:
    letter = await find(bus, letter_id)
    if letter is None:
        raise Failure(f"no dead letter {letter_id!r}; 'headrace dead list' shows those there are")
    return letter
