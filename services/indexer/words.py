"""Full text: FTS5 in SQLite, one table a tenant; tsvector in PostgreSQL. Whatever a person types is looked for and never read as syntax."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from sqlalchemy import ARRAY, BigInteger, Connection, Engine, Select, any_, bindparam, func, literal_column, select, text

from services.indexer.snippets import bare
from services.indexer.tables import chunks

COMMON = 2000
"""A word that stands in more chunks of a tenant is not looked for where a question has rarer ones."""
Chunk = tuple[int, str]
"""Its number and text."""


class Words(Protocol):
    """The words of one database's chunks."""

    def add(self, connection: Connection, tenant: int, added: Sequence[Chunk]) -> None:
        """These chunks are new; their rows are written."""

    def remove(self, connection: Connection, tenant: int, removed: Sequence[Chunk]) -> None:
        """These chunks go; their rows still stand."""

    def find(self, connection: Connection, tenant: int, words: Sequence[str], among: Sequence[int] | None, limit: int) -> list[int]:
        """Chunks that have any of the words, the best first; `among`: only these."""


def words_in(engine: Engine) -> Words:
    return SqliteWords() if engine.dialect.name == "sqlite" else PostgresWords()


class SqliteWords:
    """A table for each tenant: how rare a word is in one tenant's texts says nothing about another's, and large tenants do not slow small ones."""

    def add(self, connection: Connection, tenant: int, added: Sequence[Chunk]) -> None:
        table = _table(tenant)
        connection.execute(text(f"CREATE VIRTUAL TABLE IF NOT EXISTS {table} USING fts5(text, content='', tokenize='unicode61 remove_diacritics 2')"))
        connection.execute(text(f"CREATE VIRTUAL TABLE IF NOT EXISTS {table}_vocabulary USING fts5vocab({table}, 'row')"))
        connection.execute(text(f"INSERT INTO {table} (rowid, text) VALUES (:number, :text)"), _parameters(added))

    def remove(self, connection: Connection, tenant: int, removed: Sequence[Chunk]) -> None:
        table = _table(tenant)
        connection.execute(text(f"INSERT INTO {table} ({table}, rowid, text) VALUES ('delete', :number, :text)"), _parameters(removed))

    def find(self, connection: Connection, tenant: int, words: Sequence[str], among: Sequence[int] | None, limit: int) -> list[int]:
        table = _table(tenant)
        if not words or connection.execute(text("SELECT 1 FROM sqlite_master WHERE name = :name"), {"name": f"{table}_vocabulary"}).first() is None:
            return []
        telling = self._telling(connection, table, words)
        found = self._matching(connection, table, telling, among, limit)
        return found if found or len(telling) == len(words) else self._matching(connection, table, words, among, limit)

    def _telling(self, connection: Connection, table: str, words: Sequence[str]) -> Sequence[str]:
        """The words without those that stand nearly everywhere: these say little, and to rank by them takes ten times as long as all else."""
        frequency = text(f"SELECT doc FROM {table}_vocabulary WHERE term = :term")
        often = {word: connection.execute(frequency, {"term": bare(word)}).scalar() or 0 for word in words}
        return [word for word in words if often[word] <= COMMON] or [min(words, key=often.__getitem__)]

    def _matching(self, connection: Connection, table: str, words: Sequence[str], among: Sequence[int] | None, limit: int) -> list[int]:
        matches = text(f"{table} MATCH :words").bindparams(words=" OR ".join(f'"{word}"' for word in words))
        wanted: Select[Any] = select(literal_column("rowid")).select_from(text(table)).where(matches)
        if among is None:
            ranked = wanted.order_by(text("rank"))
        else:
            passing = text("+rowid IN (SELECT value FROM json_each(:among))")  # the plus: else FTS5 runs the whole match once for each of them
            # The function and not the column: only what passes is ranked.
            ranked = wanted.where(passing.bindparams(among=json.dumps(list(among)))).order_by(text(f"bm25({table})"))
        return [number for (number,) in connection.execute(ranked.limit(limit))]


class PostgresWords:
    """An expression index over the chunks: their rows are all there is to keep."""

    def add(self, connection: Connection, tenant: int, added: Sequence[Chunk]) -> None:
        pass

    def remove(self, connection: Connection, tenant: int, removed: Sequence[Chunk]) -> None:
        pass

    def find(self, connection: Connection, tenant: int, words: Sequence[str], among: Sequence[int] | None, limit: int) -> list[int]:
        if not words:
            return []
        simple = text("'simple'::regconfig")
        document = func.to_tsvector(simple, chunks.c.text)
        question: Any = func.plainto_tsquery(simple, words[0])
        for word in words[1:]:
            question = question.op("||")(func.plainto_tsquery(simple, word))
        wanted = select(chunks.c.number).where(chunks.c.tenant == tenant, document.op("@@")(question))
        if among is not None:
            wanted = wanted.where(chunks.c.number == any_(bindparam("among", list(among), type_=ARRAY(BigInteger))))
        best = func.ts_rank_cd(document, question, 1).desc()
        return list(connection.execute(wanted.order_by(best, chunks.c.number).limit(limit)).scalars())


def _table(tenant: int) -> str:
    """Made from our own number of a tenant, never from its name."""
    return f"index_words_{int(tenant)}"


def _parameters(some: Iterable[Chunk]) -> list[dict[str, Any]]:
    return [{"number": number, "text": text} for number, text in some]
