"""Chunks: cut by content, so that what is edited elsewhere does not change them."""

import random

from hypothesis import given
from hypothesis import strategies as st

from services.indexer.chunking import LONGEST_UNIT, MAX_CHARS, MIN_CHARS, chunk_id, chunks

LINES = [f"Line {number}: {random.Random(number).randbytes(random.Random(-number).randrange(5, 60)).hex()}\n" for number in range(800)]
TEXT = "".join(LINES)


def new(before: str, after: str) -> set[str]:
    """Chunks that must be embedded after an edit."""
    return {chunk_id(chunk) for chunk in chunks(after)} - {chunk_id(chunk) for chunk in chunks(before)}


def test_the_sample_has_many_chunks_of_moderate_size() -> None:
    sizes = [len(chunk) for chunk in chunks(TEXT)]
    assert len(sizes) >= 18
    assert max(sizes) <= MAX_CHARS
    assert min(sizes[:-1]) >= MIN_CHARS


def test_i3_a_line_more_at_the_end_changes_at_most_two_chunks() -> None:
    assert 1 <= len(new(TEXT, TEXT + "one line more\n")) <= 2


def test_i3_a_line_inserted_at_the_top_changes_at_most_two_chunks() -> None:
    assert 1 <= len(new(TEXT, "one line more\n" + TEXT)) <= 2


def test_a_line_changed_anywhere_changes_few_chunks() -> None:
    counts = [len(new(TEXT, TEXT.replace(line, "another line\n"))) for line in LINES[::40]]
    assert sum(counts) / len(counts) < 2.5
    assert max(counts) < len(chunks(TEXT)) / 4


def test_a_long_line_is_cut_at_its_sentences_and_a_word_more_at_its_beginning_changes_few_chunks() -> None:
    line = " ".join(f"Sentence number {number} says {random.Random(number).randbytes(12).hex()} and ends." for number in range(400))
    assert len(chunks(line)) >= 10
    assert len(new(line, "Well, " + line)) <= 2


@given(st.text(max_size=3000))
def test_nothing_is_lost_but_white_space(text: str) -> None:
    found = chunks(text)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(chunk.strip() and len(chunk) <= max(MAX_CHARS, LONGEST_UNIT) for chunk in found)


@given(st.lists(st.sampled_from(LINES), max_size=60), st.lists(st.sampled_from(LINES), max_size=60))
def test_the_same_text_has_the_same_chunks_and_a_shared_end_is_shared(first: list[str], second: list[str]) -> None:
    tail = TEXT
    assert chunks("".join(first) + tail) == chunks("".join(first) + tail)
    shared = {chunk_id(chunk) for chunk in chunks("".join(first) + tail)} & {chunk_id(chunk) for chunk in chunks("".join(second) + tail)}
    assert len(shared) >= len(chunks(tail)) / 2


def test_a_chunks_id_is_of_its_content_and_of_the_rules() -> None:
    assert chunk_id("a") == chunk_id("a") != chunk_id("b")
    assert len(chunk_id("a")) == 64
