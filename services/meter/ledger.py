"""The ledger: one row a call under any redelivery, in SQLite or PostgreSQL, with exact money."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import JSON, Boolean, Column, Index, Integer, MetaData, String, Table, create_engine, event, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.schema import CreateIndex, CreateTable

from services.meter.entries import Row

BUSY_TIMEOUT_MS = 10_000
USAGE = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "reasoning_tokens")
LOOKUP_CHUNK = 500

metadata = MetaData()
calls = Table(
    "calls",
    metadata,
    Column("call_id", String, primary_key=True),
    Column("requested_at", String, primary_key=True),  # an id may be used again after the idempotency horizon, and is paid again
    Column("tenant", String, nullable=False),
    Column("request_id", String, nullable=False),
    Column("n", Integer, nullable=False),
    Column("kind", String, nullable=False),
    Column("route", String),
    Column("lane", String, nullable=False),
    Column("provider", String, nullable=False),
    Column("model", String, nullable=False),
    Column("response_model", String),
    Column("outcome", String, nullable=False),
    Column("basis", String, nullable=False),
    *(Column(name, Integer) for name in USAGE),
    Column("cost_usd", String),  # exact decimal text: SQLite has no decimals; null is unknown
    Column("estimated", Boolean, nullable=False),
    Column("price_version", String),
    Column("metadata", JSON, nullable=False),
    Column("streamed", Boolean, nullable=False),
    Column("late", Boolean, nullable=False),
    Column("occurred_at", String, nullable=False),
    Column("day", String, nullable=False),
)
by_tenant_and_time = Index("calls_tenant_occurred_at", calls.c.tenant, calls.c.occurred_at)
INSERTS: Mapping[str, Callable[[Table], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class Ledger:
    """Rows of calls. Used from one thread at a time for writing; any number may read."""

    def __init__(self, url: str) -> None:
        name = make_url(url).get_backend_name()
        if name not in INSERTS:
            raise ValueError(f"the ledger cannot be kept in {name!r}: set HEADRACE_METER_LEDGER_URL to a sqlite:/// or postgresql:// URL")
        self.engine = create_engine(url)
        if name == "sqlite":
            event.listen(self.engine, "connect", _prepare_sqlite)
        self._upsert = _upsert(INSERTS[name])

    def create(self) -> None:
        """Make table and index where they are missing; two meters may do so at once."""
        with self.engine.begin() as connection:
            connection.execute(CreateTable(calls, if_not_exists=True))
            connection.execute(CreateIndex(by_tenant_and_time, if_not_exists=True))

    def record(self, rows: Sequence[Row]) -> list[bool]:
        """Write rows in one transaction. For each, whether it stands now: an estimate that comes after its late answer does not."""
        if not rows:
            return []
        with self.engine.begin() as connection:
            connection.execute(self._upsert, [dict(row) for row in rows])
            answered_late: set[tuple[str, str]] = set()
            ids = [row["call_id"] for row in rows if not row["late"]]
            for start in range(0, len(ids), LOOKUP_CHUNK):
                chosen = calls.c.call_id.in_(ids[start : start + LOOKUP_CHUNK])
                found = connection.execute(select(calls.c.call_id, calls.c.requested_at).where(chosen, calls.c.late.is_(True)))
                answered_late.update((row.call_id, row.requested_at) for row in found)
        return [row["late"] or (row["call_id"], row["requested_at"]) not in answered_late for row in rows]

    def close(self) -> None:
        self.engine.dispose()


def _upsert(insert: Callable[[Table], Any]) -> Any:
    """A late answer replaces; nothing but a late answer replaces a late answer."""
    statement = insert(calls)
    keys = [calls.c.call_id, calls.c.requested_at]
    changed = {column.name: statement.excluded[column.name] for column in calls.columns if not column.primary_key}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed, where=or_(statement.excluded.late, calls.c.late.is_(False)))


def _prepare_sqlite(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()
