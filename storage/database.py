"""Which databases can keep what the services keep, how each is opened, takes many rows at once, and sums money exactly."""

import importlib.util
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, ColumnElement, Engine, Numeric, Table, bindparam, cast, create_engine, event, func, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from observability.redaction import conceal

BUSY_TIMEOUT_MS = 10_000
CONNECT_TIMEOUT_S = 10
KNOWN = ("sqlite", "postgresql")


class UnusableDatabase(ValueError):
    """Nothing can be kept there; the text says what to set or install."""


def open_database(url: str, what: str, setting: str) -> Engine:
    """An engine for a `sqlite:///` or `postgresql://` URL; nothing is connected yet. `what` is kept there, as `setting` says. Raises UnusableDatabase."""
    wanted = _known(url, what, setting)
    if wanted.get_backend_name() == "sqlite":
        engine = create_engine(wanted, hide_parameters=True)
        event.listen(engine, "connect", _prepare_sqlite)
        return engine
    # A pooled connection may be older than the server's last restart: it is asked before it is used.
    return create_engine(wanted, hide_parameters=True, pool_pre_ping=True, connect_args={"connect_timeout": CONNECT_TIMEOUT_S})


def insert_into(engine: Engine, table: Table) -> Any:
    """The database's own INSERT, which knows ON CONFLICT; its parameters are `parameters_of` the rows."""
    if engine.dialect.name == "sqlite":
        return sqlite.insert(table)
    names = [column.name for column in table.columns]
    sent = func.json_populate_recordset(text(f"NULL::{table.name}"), bindparam("rows", type_=JSON)).table_valued(*names, name="sent")
    return postgresql.insert(table).from_select(names, select(*(sent.c[name] for name in names)))


def parameters_of(engine: Engine, rows: list[dict[str, Any]]) -> Any:
    """SQLite takes row after row inside the process; over a network one parameter for all of them takes half the time."""
    return rows if engine.dialect.name == "sqlite" else {"rows": rows}


def exact_sum(engine: Engine, column: ColumnElement[str | None]) -> ColumnElement[Any]:
    """The sum of decimals that are kept as text, nulls left out; a number or its text."""
    return func.exact_sum(column) if engine.dialect.name == "sqlite" else func.sum(cast(column, Numeric))


def whereabouts(engine: Engine) -> bytes:
    """Where it is, as JSON: a file's place, none for a server, whose URL holds a password."""
    name, database = engine.url.get_backend_name(), engine.url.database
    return json.dumps({"kept_in": name, "file": str(Path(database or "").resolve()) if name == "sqlite" else None}).encode()


class _ExactSum:
    """SQLite adds floats; this adds decimals."""

    def __init__(self) -> None:
        self._sum = Decimal(0)

    def step(self, value: str | None) -> None:
        if value is not None:
            self._sum += Decimal(value)

    def finalize(self) -> str:
        return f"{self._sum:f}"


def _known(url: str, what: str, setting: str) -> URL:
    try:
        wanted = make_url("postgresql" + url.removeprefix("postgres") if url.startswith("postgres://") else url)
    except ArgumentError:  # its text may hold the URL, and that a password
        raise UnusableDatabase(f"the {what}'s URL cannot be read: set {setting} to a sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE URL") from None
    name = wanted.get_backend_name()
    if name not in KNOWN:
        raise UnusableDatabase(f"the {what} cannot be kept in {name!r}: set {setting} to a sqlite:/// or postgresql:// URL")
    if name == "sqlite":
        return wanted
    if importlib.util.find_spec("psycopg") is None:
        raise UnusableDatabase(f"the {what} in PostgreSQL needs the driver psycopg: run pip install 'headrace[postgres]', or set {setting} to a sqlite:/// URL")
    if wanted.password:
        conceal(str(wanted.password))
    return wanted.set(drivername="postgresql+psycopg")


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.create_aggregate("exact_sum", 1, _ExactSum)
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()
