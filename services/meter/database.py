"""Which databases can keep the ledger, and how each is opened."""

import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Engine, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

SETTING = "HEADRACE_METER_LEDGER_URL"
BUSY_TIMEOUT_MS = 10_000
CONNECT_TIMEOUT_S = 10
INSERTS: Mapping[str, Callable[[Table], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class UnusableLedger(ValueError):
    """The ledger cannot be kept there; the text says what to set or install."""


def open_database(url: str) -> Engine:
    """An engine for a `sqlite:///` or `postgresql://` URL; nothing is connected yet. Raises UnusableLedger."""
    wanted = _known(url)
    if wanted.get_backend_name() == "sqlite":
        engine = create_engine(wanted)
        event.listen(engine, "connect", _prepare_sqlite)
        return engine
    # A pooled connection may be older than the server's last restart: it is asked before it is used.
    return create_engine(wanted, pool_pre_ping=True, connect_args={"connect_timeout": CONNECT_TIMEOUT_S})


def insert_into(engine: Engine, table: Table) -> Any:
    """The database's own INSERT, which knows ON CONFLICT."""
    return INSERTS[engine.dialect.name](table)


def _known(url: str) -> URL:
    try:
        wanted = make_url("postgresql" + url.removeprefix("postgres") if url.startswith("postgres://") else url)
    except ArgumentError:  # its text may hold the URL, and that a password
        raise UnusableLedger(f"the ledger's URL cannot be read: set {SETTING} to a sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE URL") from None
    name = wanted.get_backend_name()
    if name not in INSERTS:
        raise UnusableLedger(f"the ledger cannot be kept in {name!r}: set {SETTING} to a sqlite:/// or postgresql:// URL")
    if name == "sqlite":
        return wanted
    if importlib.util.find_spec("psycopg") is None:
        raise UnusableLedger(f"a ledger in PostgreSQL needs the driver psycopg: run pip install 'headrace[postgres]', or set {SETTING} to a sqlite:/// URL")
    return wanted.set(drivername="postgresql+psycopg")


def _prepare_sqlite(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()
