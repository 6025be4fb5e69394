"""Numbered migrations of a service's tables: up and down, whole or not at all, by one process at a time (ADR 28)."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import OperationalError

HEAD, EMPTY = "head", "base"
OPEN_TRIES, OPEN_PAUSE_S = 20, 0.25
_IN_THIS_PROCESS = Lock()
"""Alembic's `op` is one for all threads: services that run in one process take turns, whatever database is theirs."""


class UnusableRevision(ValueError):
    """There is no such revision, or no way to it; the text says what there is."""


@dataclass(frozen=True)
class Schema:
    """The tables of one service."""

    scripts: str
    """Where the migrations are, as `package:folder`."""
    version_table: str
    lock: int
    """What tells its advisory lock from others in a PostgreSQL that several services share."""

    def directory(self) -> ScriptDirectory:
        config = Config()
        config.set_main_option("script_location", self.scripts)
        config.set_main_option("path_separator", "os")
        return ScriptDirectory.from_config(config)


def migrate(engine: Engine, schema: Schema, to: str = HEAD) -> list[str]:
    """Bring the tables to a revision; the steps that were taken, a line each. A database of a newer version is left as it is.

    Raises UnusableRevision, SQLAlchemyError: nothing has changed then.
    """
    check(schema, to)
    directory, steps = schema.directory(), list[str]()
    with _IN_THIS_PROCESS, engine.connect() as connection:
        _take_turn(connection, schema)
        now = _current(connection, schema)
        if now is None or _knows(directory, now):
            _run(connection, schema, directory, to, steps)
            connection.commit()
        elif to != HEAD:
            raise UnusableRevision(f"the database is at revision {now!r}, which this version does not know: take it back with the version that made it")
    return steps


def revision(engine: Engine, schema: Schema) -> str | None:
    """Where the tables are; None where there are none, or none that were numbered."""
    with engine.connect() as connection:
        return _current(connection, schema)


def is_newer(engine: Engine, schema: Schema) -> bool:
    """Whether a newer version has migrated the database. It only adds what this one need not know."""
    now = revision(engine, schema)
    return now is not None and not _knows(schema.directory(), now)


def check(schema: Schema, to: str) -> None:
    """Raises UnusableRevision where there is no such revision."""
    directory = schema.directory()
    if to not in (HEAD, EMPTY) and not _knows(directory, to):
        known = ", ".join(sorted(script.revision for script in directory.walk_revisions()))
        raise UnusableRevision(f"there is no revision {to!r}: choose from {EMPTY}, {known}")


def _run(connection: Connection, schema: Schema, directory: ScriptDirectory, to: str, steps: list[str]) -> None:

    def plan(current: Any, _: MigrationContext) -> Any:
        down = to == EMPTY or (to != HEAD and bool(current) and _is_behind(directory, to, current[0]))
        planned = directory._downgrade_revs(to, current) if down else directory._upgrade_revs(to, current)  # as alembic's own commands do
        steps.extend(str(step) for step in planned)
        return planned

    with EnvironmentContext(Config(), directory, fn=plan, as_sql=False) as environment:
        environment.configure(connection=connection, version_table=schema.version_table, transactional_ddl=True)
        environment.run_migrations()


def _is_behind(directory: ScriptDirectory, wanted: str, current: str) -> bool:
    return wanted in {script.revision for script in directory.iterate_revisions(current, EMPTY)}


def _take_turn(connection: Connection, schema: Schema) -> None:
    """Until the transaction ends no other process migrates these tables."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(schema.lock)))
    else:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver begins nothing before a CREATE or an ALTER


def _current(connection: Connection, schema: Schema) -> str | None:
    return MigrationContext.configure(connection, opts={"version_table": schema.version_table}).get_current_revision()


def _knows(directory: ScriptDirectory, wanted: str) -> bool:
    with suppress(CommandError):
        return directory.get_revision(wanted) is not None
    return False


async def opened(create: Callable[[], list[str]]) -> list[str]:
    """Bring a database's tables to this version, and give the steps taken; another process that does the same at this moment may hold the lock."""
    for _ in range(OPEN_TRIES - 1):
        try:
            return await asyncio.to_thread(create)
        except OperationalError:
            await asyncio.sleep(OPEN_PAUSE_S)
    return await asyncio.to_thread(create)
