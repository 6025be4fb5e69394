"""The index in SQL: documents, their chunks, words and vectors. One transaction a batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, func, insert, or_, select, update

from services.indexer.chunking import chunks as cut
from services.indexer.entries import Entry
from services.indexer.lookups import delete_in, firsts_in
from services.indexer.tables import chunks, counter, documents, tenants, vectors
from services.indexer.words import words_in
from services.indexer.writing import Writer, Written
from storage.database import open_database
from storage.migrations import Schema, migrate

SETTING = "HEADRACE_INDEXER_INDEX_URL"
SCHEMA = Schema("services.indexer:migrations", "index_revision", lock=0x4EAD4ACF)
SWEPT_AT_ONCE = 500


@dataclass(frozen=True)
class Unembedded:
    """A chunk that has no vector yet."""

    number: int
    tenant: int
    text: str


class Index:
    """Any number of threads and processes may read and write; writers take turns."""

    def __init__(self, url: str) -> None:
        """Raises UnusableDatabase."""
        self.engine = open_database(url, "index", SETTING)
        self.words = words_in(self.engine)
        self._numbers: dict[str, int] = {}

    def create(self) -> list[str]:
        """Bring the tables to this version; the steps taken. Two indexers may do so at once. Raises SQLAlchemyError."""
        return migrate(self.engine, SCHEMA)

    def close(self) -> None:
        self.engine.dispose()

    def write(self, entries: Sequence[Entry]) -> list[Written]:
        """Bring the index to these versions; an older one than that which stands changes nothing."""
        texts = [[] if entry.text is None else cut(entry.text) for entry in entries]
        with self.engine.begin() as connection:
            numbers = self._take(connection, len(entries) * 2 + sum(map(len, texts)))
            return Writer(connection, self.words, numbers).write(entries, texts)

    def sweep(self, now: str, forget_before: str) -> int:
        """Take out what has expired and forget old deletions, some hundred at a time; how many there were."""
        old = and_(documents.c.live.is_(False), documents.c.stored_at < forget_before)
        with self.engine.begin() as connection:
            writer = Writer(connection, self.words, self._take(connection, 0))
            gone = select(documents.c.number, documents.c.tenant).where(or_(documents.c.expires_at <= now, old)).limit(SWEPT_AT_ONCE)
            found = [(number, tenant) for number, tenant in connection.execute(gone)]
            for tenant in {tenant for _, tenant in found}:
                writer.drop_unplaced(tenant, writer.unplace([number for number, of in found if of == tenant]))
            delete_in(connection, documents.c.number, [number for number, _ in found])
            return len(found)

    def unembedded(self, space: str, after: int, limit: int) -> list[Unembedded]:
        """Chunks without a vector in a space, from the one after `after` on."""
        there = select(vectors.c.number).where(vectors.c.chunk == chunks.c.number, vectors.c.space == space).exists()
        wanted = select(chunks.c.number, chunks.c.tenant, chunks.c.text).where(chunks.c.number > after, ~there).order_by(chunks.c.number).limit(limit)
        with self.engine.connect() as connection:
            return [Unembedded(*row) for row in connection.execute(wanted)]

    def add_vectors(self, space: str, made: Sequence[tuple[Unembedded, bytes]]) -> None:
        """Keep vectors; a chunk that went meanwhile, or got its vector from another process, is passed over."""
        with self.engine.begin() as connection:
            numbers = self._take(connection, len(made))
            ids = [chunk.number for chunk, _ in made]
            wanted = set(firsts_in(connection, select(chunks.c.number), chunks.c.number, ids))
            wanted -= set(firsts_in(connection, select(vectors.c.chunk).where(vectors.c.space == space), vectors.c.chunk, ids))
            rows = [
                {"number": next(numbers), "tenant": chunk.tenant, "chunk": chunk.number, "space": space, "vector": vector}
                for chunk, vector in made
                if chunk.number in wanted
            ]
            if rows:
                connection.execute(insert(vectors), rows)

    def drop_other_spaces(self, space: str) -> int:
        """Delete vectors of other models, some hundred at a time, if every chunk has one of this; how many."""
        of_others = [
            select(vectors.c.number, vectors.c.tenant).join(tenants, tenants.c.number == vectors.c.tenant).where(other).limit(SWEPT_AT_ONCE)
            for other in (vectors.c.space < space, vectors.c.space > space)  # two ranges of an index; one inequality would read all of it
        ]
        with self.engine.begin() as connection:
            found = [(row.number, row.tenant) for wanted in of_others for row in connection.execute(wanted)]
            if not found or self.unembedded(space, 0, 1):
                return 0
            self._take(connection, 0)
            delete_in(connection, vectors.c.number, [number for number, _ in found])
            for tenant in {tenant for _, tenant in found}:
                connection.execute(update(tenants).where(tenants.c.number == tenant).values(removed=tenants.c.removed + 1))
            return len(found)

    def names(self) -> dict[int, str]:
        """Tenants by their numbers."""
        with self.engine.connect() as connection:
            return {row.number: row.name for row in connection.execute(select(tenants.c.number, tenants.c.name))}

    def number_of(self, connection: Connection, tenant: str) -> int | None:
        """A tenant's number; None where nothing of it was ever indexed."""
        if tenant not in self._numbers:
            found = connection.execute(select(tenants.c.number).where(tenants.c.name == tenant)).scalar()
            if found is None:
                return None
            self._numbers[tenant] = found
        return self._numbers[tenant]

    def counts(self, tenant: str, space: str | None) -> dict[str, Any]:
        """Documents, results, chunks, and chunks without a vector (None without a space)."""
        with self.engine.connect() as connection:
            number = self.number_of(connection, tenant)
            live = select(documents.c.kind, func.count()).where(documents.c.tenant == number, documents.c.live).group_by(documents.c.kind)
            kinds = {row[0]: row[1] for row in connection.execute(live)}
            there = connection.execute(select(func.count()).select_from(chunks).where(chunks.c.tenant == number)).scalar_one()
            embedded = select(func.count()).select_from(vectors).where(vectors.c.tenant == number, vectors.c.space == space)
            without = None if space is None else there - connection.execute(embedded).scalar_one()
        return {"documents": kinds.get("document", 0), "results": kinds.get("result", 0), "chunks": there, "without_vector": without}

    def standing(self, tenant: str, collection: str, after: str, limit: int) -> dict[str, str]:
        """Documents of a collection and the sha256 of each, by their ids."""
        with self.engine.connect() as connection:
            of = (documents.c.tenant == self.number_of(connection, tenant), documents.c.kind == "document", documents.c.collection == collection)
            wanted = select(documents.c.id, documents.c.sha256).where(*of, documents.c.live, documents.c.id > after).order_by(documents.c.id).limit(limit)
            return {row.id: row.sha256 for row in connection.execute(wanted)}

    def _take(self, connection: Connection, count: int) -> Iterator[int]:
        """Numbers that nobody else has. A writer does this first: the counter's row is what writers take turns by."""
        last = connection.execute(update(counter).values(value=counter.c.value + count).returning(counter.c.value)).scalar_one()
        return iter(range(last - count + 1, last + 1))
