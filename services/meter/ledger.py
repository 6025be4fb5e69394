"""The ledger: one row a call under any redelivery, in SQLite or PostgreSQL, with exact money."""

from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    func,
    or_,
    select,
    tuple_,
)

from services.meter.entries import USAGE, Row
from storage.database import insert_into, open_database, parameters_of
from storage.migrations import Schema, migrate

SETTING = "HEADRACE_METER_LEDGER_URL"
LOOKUP_CHUNK = 500
PAGE = 1000
SCHEMA = Schema("services.meter:migrations", "ledger_revision", lock=0x4EAD4ACE)

Key = tuple[str, str]
"""`call_id` and `requested_at`."""

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
    *(Column(name, BigInteger) for name in USAGE),
    Column("cost_usd", String),  # exact decimal text: SQLite has no decimals; null is unknown
    Column("estimated", Boolean, nullable=False),
    Column("price_version", String),
    Column("metadata", JSON, nullable=False),
    Column("streamed", Boolean, nullable=False),
    Column("late", Boolean, nullable=False),
    Column("occurred_at", String, nullable=False),
    Column("day", String, nullable=False),
    Column("repriced_at", String),  # when a re-pricing run corrected the cost
    Column("duration_s", Float),
)
by_tenant_and_time = Index("calls_tenant_occurred_at", calls.c.tenant, calls.c.occurred_at)


class Ledger:
    """Rows of calls. Any number of threads and processes may read and write; SQLite lets the writers take turns."""

    def __init__(self, url: str) -> None:
        self.engine = open_database(url, "ledger", SETTING)
        self._upsert = _upsert(insert_into(self.engine, calls))

    def create(self) -> list[str]:
        """Bring the tables to this version; the steps taken. Two meters may do so at once. Raises SQLAlchemyError."""
        return migrate(self.engine, SCHEMA)

    def record(self, rows: Sequence[Row], doubted: Container[str] | None = None) -> list[bool]:
        """Write rows in one transaction. For each, whether it stands now, or a later version of the same call does.

        `doubted`: the call ids of which a later version may stand; None: all.
        """
        if not rows:
            return []
        with self.engine.begin() as connection:
            self._write(connection, rows)
            later = _later_versions(connection, [row["call_id"] for row in rows if doubted is None or row["call_id"] in doubted])
        return [version_of(row) >= later.get(key_of(row), (False, "")) for row in rows]

    def merge(self, rows: Sequence[Row]) -> None:
        """Write rows in one transaction, where no later version of the same call stands. In any order the outcome is the same."""
        if rows:
            with self.engine.begin() as connection:
                self._write(connection, rows)

    def find(self, keys: Iterable[Key]) -> dict[Key, Row]:
        """The rows that stand under these keys."""
        wanted = list(keys)
        found: dict[Key, Row] = {}
        with self.engine.connect() as connection:
            for start in range(0, len(wanted), LOOKUP_CHUNK):
                chosen = select(calls).where(tuple_(calls.c.call_id, calls.c.requested_at).in_(wanted[start : start + LOOKUP_CHUNK]))
                for row in connection.execute(chosen).mappings():
                    found[row["call_id"], row["requested_at"]] = dict(row)
        return found

    def uses(self, call_ids: Sequence[str]) -> dict[str, list[str]]:
        """When each call id was used, by `requested_at`, oldest first."""
        found: dict[str, list[str]] = {}
        with self.engine.connect() as connection:
            for start in range(0, len(call_ids), LOOKUP_CHUNK):
                chosen = calls.c.call_id.in_(call_ids[start : start + LOOKUP_CHUNK])
                for call_id, requested_at in connection.execute(select(calls.c.call_id, calls.c.requested_at).where(chosen).order_by(calls.c.requested_at)):
                    found.setdefault(call_id, []).append(requested_at)
        return found

    def count(self, *filters: ColumnElement[bool]) -> int:
        with self.engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(calls).where(*filters)).scalar_one()

    def pages(self, *filters: ColumnElement[bool]) -> Iterator[list[Row]]:
        """All rows by key, a page at a time; between pages nothing is held open, so that others may write."""
        ordered = select(calls).where(*filters).order_by(calls.c.call_id, calls.c.requested_at).limit(PAGE)
        after: Key | None = None
        while True:
            wanted = ordered if after is None else ordered.where(tuple_(calls.c.call_id, calls.c.requested_at) > after)
            with self.engine.connect() as connection:
                page: list[Row] = [dict(row) for row in connection.execute(wanted).mappings()]
            if page:
                yield page
                after = key_of(page[-1])
            if len(page) < PAGE:
                return

    def close(self) -> None:
        self.engine.dispose()

    def _write(self, connection: Connection, rows: Sequence[Row]) -> None:
        """One version of each call, in the order of the keys: two writers that lock rows in one order cannot block each other."""
        latest: dict[Key, Row] = {}
        for row in rows:
            standing = latest.get(key_of(row))
            if standing is None or version_of(row) >= version_of(standing):
                latest[key_of(row)] = row
        connection.execute(self._upsert, parameters_of(self.engine, [dict(latest[key]) for key in sorted(latest)]))


def key_of(row: Row) -> Key:
    return row["call_id"], row["requested_at"]


def version_of(row: Row) -> tuple[bool, str]:
    """Of two versions of a call the greater one stands: the late answer, then the later correction."""
    return bool(row["late"]), row["repriced_at"] or ""


def _later_versions(connection: Connection, call_ids: Sequence[str]) -> dict[Key, tuple[bool, str]]:
    """The versions of those calls that are not first versions any more."""
    found: dict[Key, tuple[bool, str]] = {}
    changed = or_(calls.c.late.is_(True), calls.c.repriced_at.is_not(None))
    columns = (calls.c.call_id, calls.c.requested_at, calls.c.late, calls.c.repriced_at)
    for start in range(0, len(call_ids), LOOKUP_CHUNK):
        chosen = select(*columns).where(calls.c.call_id.in_(call_ids[start : start + LOOKUP_CHUNK]), changed)
        found.update((key_of(row), version_of(row)) for row in map(dict, connection.execute(chosen).mappings()))
    return found


def _upsert(statement: Any) -> Any:
    """A later version replaces, and the same one again (the last that was told holds)."""
    new, there = statement.excluded, calls.c
    replaced = {column.name: new[column.name] for column in calls.columns if not column.primary_key}
    for name in ("route", "duration_s"):  # events of older versions do not tell them
        replaced[name] = func.coalesce(new[name], there[name])
    same_answer = new.late == there.late
    later_price = func.coalesce(new.repriced_at, "") >= func.coalesce(there.repriced_at, "")
    wins = or_(new.late & there.late.is_(False), same_answer & later_price)
    return statement.on_conflict_do_update(index_elements=[there.call_id, there.requested_at], set_=replaced, where=wins)
