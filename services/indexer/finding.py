"""A search: words and meaning ranked, fused, and shown as the documents and results that they stand in."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, or_, select

from contracts.search import HitV1, SearchV1
from services.indexer.fusion import fused
from services.indexer.index import Index
from services.indexer.lookups import firsts_in, rows_in
from services.indexer.snippets import snippet, words_of
from services.indexer.tables import chunks, documents, placements
from services.indexer.vectors import Matrices
from storage.texts import utc_text

WINDOW = 100
"""So many chunks of each ranking are looked at, more where they do not suffice."""
FIRST_LOOK = 4
"""With filters so many times as many are looked at first: where a quarter of all documents pass they are enough, and what else passes need not be known."""
MIN_PART = 20
Ranker = Callable[[Sequence[int] | None, int], list[int]]
"""Chunks by one ranking, the best first: among these alone (None: all of the tenant's), at most so many."""
COPIED = ("kind", "id", "uri", "title", "metadata", "provider", "model", "at")
PLACES = 2000
"""A chunk that stands in more documents than this is shown in the latest of them."""
UNADDRESSABLE = frozenset('"\\\0')
"""SQLite's JSON paths cannot name a key with one of these."""


class Finder:
    """Answers searches from the database and the vectors in memory. Any thread may ask."""

    def __init__(self, index: Index, max_bytes: int) -> None:
        """`max_bytes`: of vectors in memory."""
        self._index, self._matrices = index, Matrices(max_bytes)

    @property
    def bytes(self) -> int:
        """What the vectors in memory take."""
        return self._matrices.bytes

    def find(self, tenant: str, question: SearchV1, vector: Any, space: str | None, now: str) -> list[HitV1]:
        """`vector`: of the question, in `space`; None: by words alone."""
        try:
            return self._find(tenant, question, vector, space, now)
        finally:
            self._matrices.shrink()

    def _find(self, tenant: str, question: SearchV1, vector: Any, space: str | None, now: str) -> list[HitV1]:
        with self._index.engine.connect() as connection:
            number = self._index.number_of(connection, tenant)
            if number is None:
                return []
            # The sum keeps the planner from walking all of a tenant's documents where it has their numbers.
            found = (documents.c.tenant + 0 == number, documents.c.live, or_(documents.c.expires_at.is_(None), documents.c.expires_at > now))
            filters = filters_of(question)
            conditions, words = (*found, *filters), words_of(question.text)
            rankers = self._rankers(connection, number, question.by, words, vector, space)
            window, among = max(WINDOW, question.limit * 4), None
            if filters:
                rankings = _first_look(connection, rankers, conditions, window)
                hits = _hits(connection, rankings, conditions, words, question.limit) if rankings is not None else []
                if rankings is not None and (len(hits) >= question.limit or _exhausted(rankings, window)):
                    return hits
                passing = select(placements.c.chunk).join(documents, documents.c.number == placements.c.document)
                among = list(set(connection.execute(passing.where(documents.c.tenant == number, *conditions)).scalars()))
            while True:
                rankings = {name: rank(among, window) for name, rank in rankers.items()}
                hits = _hits(connection, rankings, conditions, words, question.limit)
                if len(hits) >= question.limit or _exhausted(rankings, window):
                    return hits
                window *= 4

    def _rankers(self, connection: Connection, number: int, by: str, words: list[str], vector: Any, space: str | None) -> dict[str, Ranker]:
        """What ranks a tenant's chunks, the cheaper first."""
        rankers: dict[str, Ranker] = {}
        if space is not None and vector is not None:
            rankers["meaning"] = partial(self._matrices.of(number, space).nearest, connection, vector)
        if by != "meaning":
            rankers["words"] = partial(self._index.words.find, connection, number, words)
        return rankers


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
        spelled = {key, json.dumps(key)[1:-1]}  # SQLite compares a key with the letters that stand in the JSON text, and there 'ü' is an escape
        wanted.append(or_(*(documents.c.metadata[each].as_string() == value for each in sorted(spelled))))
    return wanted


def _exhausted(rankings: dict[str, list[int]], window: int) -> bool:
    """Whether to look at more would bring nothing."""
    return all(len(ranking) < window for ranking in rankings.values())


def _first_look(connection: Connection, rankers: dict[str, Ranker], conditions: Sequence[ColumnElement[bool]], window: int) -> dict[str, list[int]] | None:
    """Of what ranks first without filters, that which passes them: the best `window` of each ranking, as if only these had been ranked.

    None where that cannot be told without all that pass: too few do.
    """
    rankings: dict[str, list[int]] = {}
    for name, rank in rankers.items():
        looked = rank(None, window * FIRST_LOOK)
        passing = _passing(connection, looked, conditions)
        kept = rankings[name] = [chunk for chunk in looked if chunk in passing][:window]
        whole = len(looked) < window * FIRST_LOOK
        # Rare words that stand in nothing that passes say nothing about the others, which are looked for then.
        if len(kept) < window and not (whole and (kept or not looked)):
            return None
    return rankings


def _passing(connection: Connection, some: Sequence[int], conditions: Sequence[ColumnElement[bool]]) -> set[int]:
    """Which of the chunks stand in a document that meets the conditions; none, where they stand in too many to look at each."""
    stands = list(rows_in(connection, select(placements.c.chunk, placements.c.document).limit(PLACES), placements.c.chunk, some))
    if len(stands) >= PLACES:
        return set()
    numbers = sorted({row.document for row in stands})
    passing = set(firsts_in(connection, select(documents.c.number).where(*conditions), documents.c.number, numbers))
    return {row.chunk for row in stands if row.document in passing}


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
