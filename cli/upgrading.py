"""`headrace migrate`: databases, streams and configuration brought to what this version declares; what a deployment runs before its services."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from bus import configuration
from bus.configuration import BadConfiguration
from bus.connection import Bus
from bus.provision import Sizing, provision
from cli.configuring import checked, text_of_file
from cli.session import Session, run, session_of
from cli.show import as_json
from contracts.config import ConfigV1


def register(app: typer.Typer) -> None:
    app.command("migrate")(migrate)


def migrate(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option(help="A configuration to push last, when all else is done.", exists=True, dir_okay=False)] = None,
    replicas: Annotated[int | None, typer.Option(help="Copies of each stream in a cluster (1, 3 or 5); kept from then on.", min=1, max=5)] = None,
    to: Annotated[
        list[str] | None, typer.Option(metavar="DATABASE=REVISION", help="Only this database (ledger or index), to this revision, up or down; may be repeated.")
    ] = None,
) -> None:
    """Bring databases, then streams and consumers, to this version; run again it changes nothing. Exit 1, and why, where a step fails: start no service then.

    Databases are those that the environment names (HEADRACE_METER_LEDGER_URL, HEADRACE_INDEXER_INDEX_URL). A service migrates its own when it starts, too.
    """
    run(_migrate(session_of(context), config, Sizing(replicas), to or []))


async def _migrate(session: Session, config: Path | None, sizing: Sizing, to: Sequence[str]) -> int:
    text = None if config is None else text_of_file(config)
    wanted = None if text is None else checked(text)
    from cli import schemas  # SQLAlchemy and alembic take a while that no other command should pay

    done, left = await asyncio.to_thread(schemas.migrated, to)
    revision = None
    if not to:
        async with session.bus() as bus:
            done += await provision(bus, sizing)
            if text is not None and wanted is not None and await _in_use(bus) != wanted:
                revision = await configuration.push(bus, text)
                done.append(f"configuration pushed as revision {revision}")
    if session.json:
        as_json({"done": done, "left": left, "configuration": revision})
    else:
        for line in [*done, *left, f"{len(done)} steps done" if done else "nothing was to be done"]:
            print(line)
    return 0


async def _in_use(bus: Bus) -> ConfigV1 | None:
    try:
        found = await configuration.read(bus)
    except BadConfiguration:
        return None  # what is pushed replaces it
    return None if found is None else found[0]
