"""The index in both databases: last version holds, unchanged chunks stay, what is gone is gone, whatever is typed."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from contracts.search import HitV1, SearchV1
from services.indexer import finding
from services.indexer.entries import Entry
from services.indexer.finding import Finder
from services.indexer.index import Index
from services.indexer.tables import chunks, placements, vectors
from services.indexer.vectors import Matrix
from services.indexer.words import COMMON
from services.indexer.writing import Written

SPACE, ROOM = "test/4", 2**20
LATER, LATEST = "2026-11-21T12:00:01.000000Z", "2026-11-21T12:00:02.000000Z"
AT = "2026-11-21T12:00:00.000000Z"


@pytest.fixture(params=["sqlite", "postgresql"])
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Index]:
    url = f"sqlite:///{tmp_path / 'index.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres").database()
    made = Index(url)
    made.create()
    made.create()
    yield made
    made.close()


def entry(document_id: str, text: str | None, *, tenant: str = "acme", stored_at: str = AT, at: str = AT, collection: str = "c", **fields: Any) -> Entry:
    sha256 = hashlib.sha256(f"{text} {fields}".encode()).hexdigest()
    return Entry(tenant=tenant, kind="document", collection=collection, id=document_id, stored_at=stored_at, sha256=sha256, at=at, text=text, **fields)


def vector(text: str) -> Any:
    """A direction of its own for each text."""
    numbers = numpy.frombuffer(hashlib.sha256(text.encode()).digest()[:16], dtype="<u4").astype("<f4") / 2**31 - 1
    return (numbers / numpy.linalg.norm(numbers)).astype("<f4")


def embed(index: Index, space: str = SPACE) -> int:
    """Fill what is missing; how many."""
    page = index.unembedded(space, 0, 1000)
    index.add_vectors(space, [(chunk, vector(chunk.text).tobytes()) for chunk in page])
    return len(page)


def find(index: Index, text: str, tenant: str = "acme", *, meaning: bool = False, now: str = AT, finder: Finder | None = None, **fields: Any) -> list[HitV1]:
    question = SearchV1(text=text, **({"by": "meaning"} if meaning else {"by": "words"}), **fields)
    return (finder or Finder(index, ROOM)).find(tenant, question, vector(text) if meaning else None, SPACE if meaning else None, now)


def ids(hits: list[HitV1]) -> list[str]:
    return [hit.id for hit in hits]


def count(index: Index, table: Any) -> int:
    with index.engine.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def test_a_later_version_replaces_and_an_earlier_one_that_comes_again_changes_nothing(index: Index) -> None:
    index.write([entry("a", "the old kettle")])
    assert index.write([entry("a", "the new teapot", stored_at=LATER)]) == [Written(True, 1, 0)]
    assert index.write([entry("a", "the old kettle")]) == [Written(False)]
    assert (ids(find(index, "teapot")), ids(find(index, "kettle"))) == (["a"], [])
    assert (count(index, chunks), count(index, placements)) == (1, 1)


def test_of_two_versions_in_one_batch_the_later_holds_in_whatever_order(index: Index) -> None:
    index.write([entry("a", "second", stored_at=LATER), entry("a", "first"), entry("b", "first"), entry("b", "second", stored_at=LATER)])
    assert (sorted(ids(find(index, "second"))), ids(find(index, "first"))) == (["a", "b"], [])


def test_a_deletion_that_overtook_a_version_is_not_undone_by_it(index: Index) -> None:
    index.write([entry("a", None, stored_at=LATER)])
    assert index.write([entry("a", "kettle")]) == [Written(False)]
    assert find(index, "kettle") == []


def test_unchanged_chunks_are_never_embedded_again_in_whatever_document_of_the_tenant(index: Index) -> None:
    index.write([entry("a", "kettle")])
    assert embed(index) == 1
    assert index.write([entry("a", "kettle", stored_at=LATER, uri="renamed"), entry("copy", "kettle")]) == [Written(True, 0, 1)] * 2
    assert embed(index) == 0
    index.write([entry("a", None, stored_at=LATEST)])
    assert ids(find(index, "kettle", meaning=True)) == ["copy"]
    assert index.write([entry("b", "kettle", tenant="beta")]) == [Written(True, 1, 0)]
    assert embed(index) == 1


def test_what_is_deleted_leaves_no_row_but_the_memory_of_its_deletion(index: Index) -> None:
    finder = Finder(index, ROOM)
    index.write([entry(f"d{number}", f"kettle number {number}") for number in range(50)])
    embed(index)
    assert len(find(index, "kettle", meaning=True, limit=100, finder=finder)) == 50
    index.write([entry(f"d{number}", None, stored_at=LATER) for number in range(49)])
    assert (count(index, chunks), count(index, vectors), count(index, placements)) == (1, 1, 1)
    assert ids(find(index, "kettle")) == ids(find(index, "kettle", meaning=True, finder=finder)) == ["d49"]
    assert index.sweep(AT, LATER) == 0
    assert index.sweep(AT, LATEST) == 49


def test_what_expires_is_not_found_from_that_moment_on_and_then_swept_out(index: Index) -> None:
    index.write([entry("a", "kettle", expires_at=LATER), entry("b", "kettle")])
    assert sorted(ids(find(index, "kettle", now=AT))) == ["a", "b"]
    assert ids(find(index, "kettle", now=LATER)) == ["b"]
    assert index.sweep(LATER, AT) == 1
    assert ids(find(index, "kettle", now=AT)) == ["b"]


def test_vectors_of_another_model_are_never_compared(index: Index) -> None:
    index.write([entry("a", "kettle")])
    embed(index, "other/4")
    assert find(index, "kettle", meaning=True) == []
    assert embed(index) == 1
    assert ids(find(index, "kettle", meaning=True)) == ["a"]


def test_vectors_of_another_model_are_deleted_once_every_chunk_has_one_of_this(index: Index) -> None:
    index.write([entry("a", "kettle"), entry("b", "teapot"), entry("c", "kettle", tenant="beta")])
    for space in ("older/4", "younger/4"):
        embed(index, space)
    page = index.unembedded(SPACE, 0, 1000)
    index.add_vectors(SPACE, [(chunk, vector(chunk.text).tobytes()) for chunk in page[1:]])
    assert (index.drop_other_spaces(SPACE), count(index, vectors)) == (0, 8)
    assert embed(index) == 1
    assert (index.drop_other_spaces(SPACE), index.drop_other_spaces(SPACE), count(index, vectors)) == (6, 0, 3)
    assert sorted(ids(find(index, "kettle", meaning=True))) == ["a", "b"]


def test_a_vector_that_was_deleted_and_made_again_counts_once(index: Index) -> None:
    finder = Finder(index, ROOM)
    index.write([entry("a", "kettle"), entry("b", "teapot")])
    embed(index)
    before = find(index, "kettle", meaning=True, finder=finder)
    embed(index, "other/4")
    assert index.drop_other_spaces("other/4") == 2
    embed(index)
    assert find(index, "kettle", meaning=True, finder=finder) == before


def test_tenants_that_searched_longest_ago_give_up_their_memory_and_find_the_same_afterwards(index: Index) -> None:
    names = ("acme", "beta", "gamma")
    index.write([entry(f"d{number}", f"{tenant} {number}", tenant=tenant) for tenant in names for number in range(300)])
    embed(index)
    one = Finder(index, ROOM)
    alone = {tenant: find(index, "acme 7", tenant, meaning=True, finder=Finder(index, ROOM)) for tenant in names}
    find(index, "acme 7", meaning=True, finder=one)
    finder = Finder(index, int(2.5 * one.bytes))
    for tenant in (*names, *reversed(names)):
        assert find(index, "acme 7", tenant, meaning=True, finder=finder) == alone[tenant]
        assert 0 < finder.bytes <= 2 * one.bytes
    small = Finder(index, 1)
    assert find(index, "acme 7", meaning=True, finder=small) == alone["acme"] and small.bytes == one.bytes


def test_filters_hold_together(index: Index) -> None:
    index.write(
        [
            entry("a", "kettle", collection="x", metadata={"team": "support"}),
            entry("b", "kettle", collection="y", metadata={"team": "support"}, at=LATER),
            entry("c", "kettle", collection="y", metadata={"team": "sales", "it's": 'a "quote"'}),
        ]
    )
    embed(index)
    for meaning in (False, True):
        assert ids(find(index, "kettle", meaning=meaning, collection="y", metadata={"team": "support"})) == ["b"]
        assert sorted(ids(find(index, "kettle", meaning=meaning, until=datetime(2026, 11, 21, 12, 0, 1, tzinfo=UTC)))) == ["a", "c"]
        assert ids(find(index, "kettle", meaning=meaning, since=datetime(2026, 11, 21, 12, 0, 1, tzinfo=UTC))) == ["b"]
        assert ids(find(index, "kettle", meaning=meaning, metadata={"it's": 'a "quote"'})) == ["c"]
        assert find(index, "kettle", meaning=meaning, kind="result") == []


@pytest.mark.parametrize("value", ["", "ü", "水壶🫖", "100%", "a_b", "a/b", "back\\slash", 'say "x"', "line\nbreak", "\x7f\u2028", "T-1", "t-1"])
def test_metadata_is_compared_as_it_was_given_whatever_stands_in_it(index: Index, value: str) -> None:
    index.write([entry("a", "kettle", metadata={"other": "x", value or "k": value}), entry("b", "kettle", metadata={value or "k": f"{value}."})])
    if not finding.UNADDRESSABLE & set(value):
        assert ids(find(index, "kettle", metadata={value or "k": value})) == ["a"]
    index.write([entry("c", "kettle", metadata={"k2": value}), entry("d", "kettle", metadata={"k2": value.swapcase() + "."})])
    assert ids(find(index, "kettle", metadata={"k2": value})) == ["c"]


def test_a_filter_finds_the_one_among_many_that_rank_before_it(index: Index) -> None:
    index.write([entry(f"d{number}", f"kettle kettle kettle {number}", metadata={"n": str(number)}) for number in range(600)])
    embed(index)
    assert ids(find(index, "kettle", metadata={"n": "599"})) == ["d599"]
    assert ids(find(index, "kettle", meaning=True, metadata={"n": "599"})) == ["d599"]


def test_with_a_filter_the_same_is_found_as_if_there_was_nothing_else_however_much_passes(index: Index) -> None:
    texts = {f"d{number}": f"kettle {number}" for number in range(900)}
    index.write([entry(name, text, metadata={str(part): str(number % part) for part in (1, 2, 5, 300)}) for number, (name, text) in enumerate(texts.items())])
    embed(index)
    for part in (1, 2, 5, 300):
        nearest = sorted(list(texts)[1 % part :: part], key=lambda name: -float(vector(texts[name]) @ vector("teapot")))
        passing = {str(part): str(1 % part)}
        assert ids(find(index, "teapot", meaning=True, metadata=passing, limit=20)) == nearest[:20]
        found = find(index, "kettle", metadata=passing, limit=20)
        assert (len(found), {hit.words_rank for hit in found}) == (min(20, len(nearest)), set(range(1, len(found) + 1)))
        assert set(ids(found)) <= set(nearest)


def test_rare_words_of_documents_that_a_filter_leaves_out_do_not_hide_the_others(index: Index) -> None:
    index.write([entry(f"d{number}", f"the kettle {number}") for number in range(COMMON + 1)] + [entry("rare", "a teapot", collection="other")])
    assert len(find(index, "the teapot", collection="c")) == 10
    assert ids(find(index, "the teapot", collection="other")) == ["rare"]


def test_words_that_stand_nearly_everywhere_are_looked_for_where_there_are_no_others(index: Index) -> None:
    index.write([entry(f"d{number}", f"the kettle {number}") for number in range(COMMON + 1)] + [entry("rare", "a teapot")])
    assert ids(find(index, "the teapot", limit=100))[0] == "rare"
    assert len(find(index, "the kettle", limit=100)) == 100
    assert len(find(index, "the samovar", limit=100)) == 100


def test_one_long_document_does_not_crowd_out_the_others(index: Index) -> None:
    index.write(
        [
            entry("long", "".join(f"kettle {number} {hashlib.sha256(str(number).encode()).hexdigest() * 10}\n" for number in range(900))),
            entry("short", "a kettle and much else " * 3),
        ]
    )
    assert count(index, chunks) > 200
    assert sorted(ids(find(index, "kettle"))) == ["long", "short"]


HOSTILE = [
    *('"', "'", '""', "kettle AND", "NOT", "NEAR(a b)", "text:kettle", "tenant:beta", "*", "kett*", "^kettle", "kettle)", "(((", "--", "\\", "%", "_", "a:b:c"),
    *("; DROP TABLE index_documents; --", "' OR '1'='1", 'x" OR rowid > 0 --', "index_words_1 MATCH 'x'", "{text}: x", "+", "-kettle", "<>|&!:*"),
    *("🫖", "水壶", "ﬁ", "\u0301", "\u200b", "e\u0301", "²", "kettle " * 1000, "a" * 8000, "kettle & !", "$1", ":words", "%s", "\x00", "NULL"),
]


def test_no_question_raises_or_finds_what_is_anothers(index: Index) -> None:
    index.write([entry("mine", "the kettle"), entry("theirs", "the secret beta kettle", tenant="beta")])
    embed(index)
    for text in HOSTILE:
        for meaning in (False, True):
            assert set(ids(find(index, text, meaning=meaning))) <= {"mine"}, text
    assert count(index, chunks) == 2


def test_words_and_vectors_alone_rank_nothing_that_is_anothers(index: Index) -> None:
    """Before any condition on documents: each of these walls would hold without the other."""
    index.write([entry("mine", "the kettle"), entry("theirs", "the secret kettle", tenant="beta")])
    embed(index)
    with index.engine.connect() as connection:
        for tenant in ("acme", "beta"):
            number = index.number_of(connection, tenant)
            assert number is not None
            own = list(connection.execute(select(chunks.c.number).where(chunks.c.tenant == number)).scalars())
            assert len(own) == 1
            assert index.words.find(connection, number, ["kettle"], None, 10) == own
            assert Matrix(number, SPACE).nearest(connection, vector("kettle"), None, 10) == own


def test_documents_of_another_are_not_shown_even_where_a_ranking_names_them(index: Index) -> None:
    index.write([entry("mine", "kettle"), entry("theirs", "kettle", tenant="beta")])
    with index.engine.begin() as connection:
        mine = connection.execute(select(chunks.c.number).where(chunks.c.tenant == index.number_of(connection, "acme"))).scalar_one()
        connection.execute(placements.update().values(chunk=mine))
    assert ids(find(index, "kettle")) == ["mine"]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=1, max_size=200))
def test_made_up_questions_and_texts_neither(index: Index, text: str) -> None:
    clean = text.replace("\0", " ")
    index.write([entry("made-up", clean, stored_at=LATER), entry("theirs", "secret " + clean, tenant="beta", stored_at=LATER)])
    assert set(ids(find(index, text))) <= {"made-up"}
    index.write([entry("made-up", None, stored_at=LATER), entry("theirs", None, tenant="beta", stored_at=LATER)])
    assert count(index, chunks) == 0


def test_a_tenant_of_whom_nothing_is_known_finds_nothing(index: Index) -> None:
    index.write([entry("a", "kettle")])
    assert find(index, "kettle", tenant="nobody") == []
    assert index.counts("nobody", SPACE)["documents"] == 0
    assert index.standing("nobody", "c", "", 10) == {}


def test_a_key_that_cannot_be_asked_for_is_refused(index: Index) -> None:
    index.write([entry("a", "kettle")])
    with pytest.raises(ValueError, match="nothing can be filtered"):
        find(index, "kettle", metadata={'a"b': "c"})
