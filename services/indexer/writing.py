"""What one transaction does with a batch: later versions replace earlier ones, chunks that stand are left alone, those that stand nowhere go."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update

from services.indexer.chunking import CHUNKER, chunk_id
from services.indexer.entries import Entry
from services.indexer.lookups import delete_in, firsts_in, rows_in
from services.indexer.tables import chunks, documents, placements, tenants, vectors
from services.indexer.words import Words

COPIED = ("kind", "collection", "id", "stored_at", "sha256", "at", "expires_at", "uri", "title", "provider", "model")
Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class Written:
    """What became of an entry: whether it is the version that stands now; of its chunks, how many are new and how many stood there."""

    stands: bool
    new_chunks: int = 0
    known_chunks: int = 0


class Writer:
    """One batch on one transaction; whoever makes it holds the counter."""

    def __init__(self, connection: Connection, words: Words, numbers: Iterator[int]) -> None:
        self._connection, self._words, self._numbers = connection, words, numbers
        self._tenants: dict[str, int] = {}

    def write(self, entries: Sequence[Entry], texts: Sequence[list[str]]) -> list[Written]:
        """`texts`: the chunks of each entry."""
        latest: dict[Key, int] = {}
        for place, entry in enumerate(entries):
            other = latest.get(entry.key)
            if other is None or entries[other].stored_at <= entry.stored_at:
                latest[entry.key] = place
        outcomes = [Written(False)] * len(entries)
        for tenant in sorted({entry.tenant for entry in entries}):
            self._tenants[tenant] = self._number_of(tenant)
            places = [place for place in latest.values() if entries[place].tenant == tenant]
            for place, written in self._write_tenant(self._tenants[tenant], [(place, entries[place], texts[place]) for place in places]):
                outcomes[place] = written
        return outcomes

    def _write_tenant(self, tenant: int, some: list[tuple[int, Entry, list[str]]]) -> Iterator[tuple[int, Written]]:
        standing = self._standing(tenant, [entry for _, entry, _ in some])
        changed: list[tuple[int, Entry, list[str]]] = []
        for place, entry, text in some:
            there = standing.get(entry.key[1:])
            if there is not None and there.stored_at > entry.stored_at:
                yield place, Written(False)
            elif there is not None and there.live and entry.text is not None and (there.sha256, there.chunker) == (entry.sha256, CHUNKER):
                self._connection.execute(update(documents).where(documents.c.number == there.number).values(stored_at=entry.stored_at))
                yield place, Written(True, 0, len(text))
            else:
                changed.append((place, entry, text))
        old = [there.number for _, entry, _ in changed if (there := standing.get(entry.key[1:])) is not None]
        candidates = self.unplace(old)
        delete_in(self._connection, documents.c.number, old)
        yield from self._put(tenant, changed)
        self.drop_unplaced(tenant, candidates)

    def _put(self, tenant: int, changed: list[tuple[int, Entry, list[str]]]) -> Iterator[tuple[int, Written]]:
        known, new = self._chunks(tenant, [text for _, _, text in changed])
        rows: list[dict[str, Any]] = []
        places: list[dict[str, Any]] = []
        for place, entry, text in changed:
            number = next(self._numbers)
            rows.append(_row(number, tenant, entry))
            ids = [chunk_id(chunk) for chunk in text]
            places += [{"document": number, "position": position, "chunk": known[each]} for position, each in enumerate(ids)]
            fresh = sum(each in new for each in ids)
            new -= set(ids)  # what the next document shares with this one is not new for it
            yield place, Written(True, fresh, len(ids) - fresh)
        if rows:
            self._connection.execute(insert(documents), rows)
        if places:
            self._connection.execute(insert(placements), places)

    def _chunks(self, tenant: int, texts: list[list[str]]) -> tuple[dict[str, int], set[str]]:
        """The number of every chunk by its id, those that were not there made; and the ids of these."""
        wanted = {chunk_id(chunk): chunk for text in texts for chunk in text}
        select_known = select(chunks.c.chunk_id, chunks.c.number).where(chunks.c.tenant == tenant)
        known: dict[str, int] = {row.chunk_id: row.number for row in rows_in(self._connection, select_known, chunks.c.chunk_id, list(wanted))}
        new = [each for each in wanted if each not in known]
        made = {each: next(self._numbers) for each in new}
        if new:
            self._connection.execute(insert(chunks), [{"number": made[each], "tenant": tenant, "chunk_id": each, "text": wanted[each]} for each in new])
            self._words.add(self._connection, tenant, [(made[each], wanted[each]) for each in new])
        return known | made, set(new)

    def _standing(self, tenant: int, some: list[Entry]) -> dict[tuple[str, str, str], Any]:
        """What stands under these keys."""
        found: dict[tuple[str, str, str], Any] = {}
        for kind, collection in {(entry.kind, entry.collection) for entry in some}:
            columns = (documents.c.number, documents.c.id, documents.c.stored_at, documents.c.live, documents.c.sha256, documents.c.chunker)
            wanted = select(*columns).where(documents.c.tenant == tenant, documents.c.kind == kind, documents.c.collection == collection)
            ids = [entry.id for entry in some if (entry.kind, entry.collection) == (kind, collection)]
            for row in rows_in(self._connection, wanted, documents.c.id, ids):
                found[kind, collection, row.id] = row
        return found

    def unplace(self, gone: Sequence[int]) -> set[int]:
        """Take the chunks out of documents; which they were."""
        candidates = set(firsts_in(self._connection, select(placements.c.chunk), placements.c.document, gone))
        delete_in(self._connection, placements.c.document, gone)
        return candidates

    def drop_unplaced(self, tenant: int, candidates: set[int]) -> None:
        """Delete those of them that stand in no document any more."""
        numbers = sorted(candidates - set(firsts_in(self._connection, select(placements.c.chunk), placements.c.chunk, sorted(candidates))))
        if not numbers:
            return
        removed = rows_in(self._connection, select(chunks.c.number, chunks.c.text), chunks.c.number, numbers)
        self._words.remove(self._connection, tenant, [(row.number, row.text) for row in removed])
        delete_in(self._connection, vectors.c.chunk, numbers)
        delete_in(self._connection, chunks.c.number, numbers)
        self._connection.execute(update(tenants).where(tenants.c.number == tenant).values(removed=tenants.c.removed + len(numbers)))

    def _number_of(self, tenant: str) -> int:
        found = self._connection.execute(select(tenants.c.number).where(tenants.c.name == tenant)).scalar()
        if found is None:
            found = next(self._numbers)
            self._connection.execute(insert(tenants).values(number=found, name=tenant, removed=0))
        return int(found)


def _row(number: int, tenant: int, entry: Entry) -> dict[str, Any]:
    copied = {name: getattr(entry, name) for name in COPIED}
    return {"number": number, "tenant": tenant, "live": entry.text is not None, "chunker": CHUNKER, "metadata": entry.metadata or {}, **copied}
