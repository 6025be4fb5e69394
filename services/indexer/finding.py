"""A search: words and meaning ranked, fused, and shown as the documents and results that they stand in."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, or_, select

from contracts.search import HitV1, SearchV1
from services.indexer.fusion import fused
from services.indexer.index import Index
from services.indexer.lookups import rows_in
from services.indexer.snippets import snippet, words_of
from services.indexer.tables import chunks, documents, placements
from services.indexer.vectors import Matrix
from storage.texts import utc_text

WINDOW = 100
"""So many chunks of each ranking are looked at, more where they do not suffice."""
MIN_PART = 20
COPIED = ("kind", "id", "uri", "title", "metadata", "provider", "model", "at")
PLACES = 2000
"""A chunk that stands in more documents than this is shown in the latest of them."""
UNADDRESSABLE = frozenset('"\\\0')
"""SQLite's JSON paths cannot name a key with one of these."""


class Finder:
    """Answers searches from the database and the vectors in memory. Any thread may ask."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._matrices: dict[tuple[int, str], Matrix] = {}

    def find(self, tenant: str, question: SearchV1, vector: Any, space: str | None, now: str) -> list[HitV1]:
        """`vector`: of the question, in `space`; None: by words alone."""
        with self._index.engine.connect() as connection:
            number = self._index.number_of(connection, tenant)
            if number is None:
                return []
            # The sum keeps the planner from walking all of a tenant's documents where it has their numbers.
            found = (documents.c.tenant + 0 == number, documents.c.live, or_(documents.c.expires_at.is_(None), documents.c.expires_at > now))
            filters = filters_of(question)
            among = (
                select(placements.c.chunk).join(documents, documents.c.number == placements.c.document).where(documents.c.tenant == number, *found, *filters)
                if filters
                else None
            )
            matrix = self._matrices.setdefault((number, space), Matrix(number, space)) if space is not None and vector is not None else None
            allowed = set(connection.execute(among).scalars()) if among is not None and matrix is not None else None
            window = max(WINDOW, question.limit * 4)
            words = words_of(question.text)
            while True:
                rankings: dict[str, list[int]] = {}
                if question.by != "meaning":
                    rankings["words"] = self._index.words.find(connection, number, words, among, window)
                if matrix is not None:
                    rankings["meaning"] = matrix.nearest(connection, vector, allowed, window)
                hits = _hits(connection, rankings, (*found, *filters), words, question.limit)
                if len(hits) >= question.limit or all(len(ranking) < window for ranking in rankings.values()):
                    return hits
                window *= 4

    @property
    def bytes(self) -> int:
        """What the vectors in memory take."""
        return sum(matrix.bytes for matrix in self._matrices.values())


def filters_of(question: SearchV1) -> list[ColumnElement[bool]]:
    """What the documents must be, as far as the question says. Raises ValueError for a metadata key that cannot be asked for."""
    wanted = [documents.c[name] == value for name in ("kind", "collection", "provider", "model") if (value := getattr(question, name)) is not None]
    if question.since is not None:
        wanted.append(documents.c.at >= utc_text(question.since))
    if question.until is not None:
        wanted.append(documents.c.at < utc_text(question.until))
    for key, value in question.metadata.items():
        if UNADDRESSABLE & set(key):
            raise ValueError(f"the metadata key {key!r} has a quote, a backslash or a zero byte in it: nothing can be filtered by it")
        wanted.append(documents.c.metadata[key].as_string() == value)
    return wanted


def _hits(connection: Connection, rankings: dict[str, list[int]], conditions: Sequence[ColumnElement[bool]], words: list[str], limit: int) -> list[HitV1]:
    scores = fused(rankings)
    ranks = {name: {chunk: rank for rank, chunk in enumerate(ranking, start=1)} for name, ranking in rankings.items()}
    shown: dict[int, tuple[int, RowMapping]] = {}
    best, part = list(scores), max(2 * limit, MIN_PART)
    for start in range(0, len(best), part):
        some = sorted(_places(connection, best[start : start + part], conditions), key=lambda place: -scores[place[0]])  # stable: of equals the latest first
        for chunk, document in some:
            shown.setdefault(document["number"], (chunk, document))
        if len(shown) >= limit:
            break
    chosen = list(shown.values())[:limit]
    wanted = rows_in(connection, select(chunks.c.number, chunks.c.text), chunks.c.number, [chunk for chunk, _ in chosen])
    texts = {row.number: row.text for row in wanted}
    return [
        _hit(document, texts[chunk], scores[chunk], {name: of.get(chunk) for name, of in ranks.items()}, words) for chunk, document in chosen if chunk in texts
    ]


def _hit(document: RowMapping, text: str, score: float, ranks: dict[str, int | None], words: list[str]) -> HitV1:
    return HitV1(
        **{name: document[name] for name in COPIED},
        collection=document["collection"] or None,
        snippet=snippet(text, words),
        score=round(score, 6),
        words_rank=ranks.get("words"),
        meaning_rank=ranks.get("meaning"),
    )


def _places(connection: Connection, some: list[int], conditions: Sequence[ColumnElement[bool]]) -> list[tuple[int, RowMapping]]:
    """In which documents chunks stand, the latest first. By keys alone, one table after the other: no planner can choose to walk all documents."""
    wanted = select(placements.c.chunk, placements.c.document).where(placements.c.chunk.in_(some)).order_by(placements.c.document.desc()).limit(PLACES)
    stands = connection.execute(wanted).all()
    numbers = sorted({row.document for row in stands})
    found = {row.number: row._mapping for row in rows_in(connection, select(documents).where(*conditions), documents.c.number, numbers)}
    return [(row.chunk, found[row.document]) for row in stands if row.document in found]
