"""The ledger's tables by number: from nothing, from before the numbers, up, down, at once, and beside a newer version."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect, select, text
from sqlalchemy.exc import DBAPIError

from services.meter.entries import row_of
from services.meter.ledger import SCHEMA, Ledger, calls, metadata
from storage.migrations import EMPTY, Schema, UnusableRevision, migrate, revision
from tests.support.processes import ROOT
from tests.unit.meter.test_ledger import attempt

FIRST, SECOND, LAST = "0001", "0002", "0003"
SCRIPTS = ROOT / "services" / "meter" / "migrations" / "versions"
NEXT = '''"""What a later version adds."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("calls", sa.Column("added", sa.String))
    {more}


def downgrade() -> None:
    op.drop_column("calls", "added")
'''


@pytest.fixture
def bare(ledger_url: str) -> Any:
    """A ledger whose tables nobody has made yet."""
    made = Ledger(ledger_url)
    yield made
    made.close()


def later(folder: Path, more: str = "") -> Schema:
    """The schema of a later version."""
    shutil.copytree(SCRIPTS, folder / "versions", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "0004_added.py").write_text(NEXT.replace("{more}", more))
    return Schema(str(folder), SCHEMA.version_table, SCHEMA.lock)


def tables(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names())


def columns(engine: Engine) -> set[str]:
    return {column["name"] for column in inspect(engine).get_columns("calls")}


def rows(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(select(calls.c.call_id, calls.c.cost_usd).order_by(calls.c.call_id))]


def test_the_migrations_make_what_the_code_declares(bare: Ledger) -> None:
    assert len(bare.create()) == 3 and revision(bare.engine, SCHEMA) == LAST
    with bare.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "version_table": SCHEMA.version_table})
        assert compare_metadata(context, metadata) == []


def test_migrating_again_changes_nothing(bare: Ledger) -> None:
    bare.create()
    assert bare.create() == []


@pytest.mark.parametrize("had", [set(), {"repriced_at"}], ids=["the first", "the last"])
def test_a_ledger_from_before_the_numbers_keeps_its_rows_and_gets_what_it_lacks(bare: Ledger, had: set[str]) -> None:
    migrate(bare.engine, SCHEMA, SECOND if had else FIRST)
    row = row_of(attempt("old", cost="1"), late=False)
    with bare.engine.begin() as connection:
        connection.execute(calls.insert(), {name: value for name, value in row.items() if name in columns(bare.engine)})
        connection.execute(text(f"DROP TABLE {SCHEMA.version_table}"))
    assert bare.create()
    bare.record([row_of(attempt("new", cost="2"), late=False)])
    assert rows(bare.engine) == [("acme/new/1", "2"), ("acme/old/1", "1")]


def test_down_and_up_again_keeps_every_row(bare: Ledger) -> None:
    bare.create()
    bare.record([row_of(attempt("kept", cost="1"), late=False)])
    assert len(migrate(bare.engine, SCHEMA, FIRST)) == 2
    assert "repriced_at" not in columns(bare.engine) and revision(bare.engine, SCHEMA) == FIRST
    assert len(bare.create()) == 2
    assert rows(bare.engine) == [("acme/kept/1", "1")]


def test_a_ledger_with_calls_in_it_is_not_taken_away(bare: Ledger) -> None:
    bare.create()
    assert len(migrate(bare.engine, SCHEMA, EMPTY)) == 3 and "calls" not in tables(bare.engine)
    bare.create()
    bare.record([row_of(attempt("kept", cost="1"), late=False)])
    with pytest.raises(ValueError, match="holds 1 calls"):
        migrate(bare.engine, SCHEMA, EMPTY)
    assert (revision(bare.engine, SCHEMA), rows(bare.engine)) == (LAST, [("acme/kept/1", "1")])


def test_many_meters_that_start_at_once_migrate_once(bare: Ledger, ledger_url: str) -> None:
    several = [Ledger(ledger_url) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        steps = list(pool.map(Ledger.create, several))
    for one in several:
        one.close()
    assert sorted(map(len, steps)) == [0, 0, 0, 0, 0, 3]


def test_databases_of_one_process_are_migrated_one_after_the_other(tmp_path: Path) -> None:
    several = [Ledger(f"sqlite:///{tmp_path / f'{number}.db'}") for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        steps = list(pool.map(Ledger.create, several))
    for one in several:
        assert len(columns(one.engine)) > 20
        one.close()
    assert sorted(map(len, steps)) == [3] * 8


def test_a_migration_that_fails_leaves_everything_as_it_was(bare: Ledger, tmp_path: Path) -> None:
    migrate(bare.engine, SCHEMA, FIRST)
    with pytest.raises(DBAPIError):
        migrate(bare.engine, later(tmp_path / "later", "op.execute('nonsense')"))
    assert revision(bare.engine, SCHEMA) == FIRST
    assert not {"added", "repriced_at"} & columns(bare.engine)


def test_an_older_version_works_on_what_a_newer_one_has_migrated(bare: Ledger, tmp_path: Path) -> None:
    newer = later(tmp_path / "later")
    migrate(bare.engine, newer)
    assert bare.create() == []
    bare.record([row_of(attempt("old", cost="1"), late=False)])
    assert rows(bare.engine) == [("acme/old/1", "1")]
    with pytest.raises(UnusableRevision, match="'0004'"):
        migrate(bare.engine, SCHEMA, FIRST)
    migrate(bare.engine, newer, LAST)
    assert revision(bare.engine, SCHEMA) == LAST and "added" not in columns(bare.engine)


def test_a_revision_that_is_not_there_is_refused_with_those_that_are(bare: Ledger) -> None:
    with pytest.raises(UnusableRevision, match=r"'0009': choose from base, 0001, 0002, 0003"):
        migrate(bare.engine, SCHEMA, "0009")
