"""The index's tables by number: what the code declares, from nothing and from before the numbers, on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, select, text

from services.indexer.index import SCHEMA, Index
from services.indexer.tables import counter, metadata
from storage.migrations import EMPTY, migrate, revision

OF_POSTGRESQL_ALONE = "index_chunks_words"
"""An index over an expression, which tables cannot declare for both databases."""


@pytest.fixture(params=["sqlite", "postgresql"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Index]:
    url = f"sqlite:///{tmp_path / 'index.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres").database()
    made = Index(url)
    yield made
    made.close()


@pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index", "ignore:Skipped unsupported reflection")
def test_the_migrations_make_what_the_code_declares(index: Index) -> None:
    assert len(index.create()) == 1
    with index.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "version_table": SCHEMA.version_table})
        differences = [one for one in compare_metadata(context, metadata) if getattr(one[1], "name", "") != OF_POSTGRESQL_ALONE]
    assert differences == []


def test_an_index_from_before_the_numbers_keeps_its_counter_and_a_new_one_begins_at_0(index: Index) -> None:
    index.create()
    with index.engine.begin() as connection:
        assert connection.execute(select(counter.c.value)).scalar_one() == 0
        connection.execute(counter.update().values(value=41))
        connection.execute(text(f"DROP TABLE {SCHEMA.version_table}"))
    assert len(index.create()) == 1 and index.create() == []
    with index.engine.connect() as connection:
        assert [tuple(row) for row in connection.execute(select(counter))] == [("all", 41)]


def test_an_empty_index_goes_down_and_up_again(index: Index) -> None:
    index.create()
    migrate(index.engine, SCHEMA, EMPTY)
    assert [name for name in inspect(index.engine).get_table_names() if name != SCHEMA.version_table] == [] and revision(index.engine, SCHEMA) is None
    assert len(index.create()) == 1
