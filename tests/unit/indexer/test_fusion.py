"""Reciprocal rank fusion, and the snippet that is shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.indexer.fusion import fused
from services.indexer.snippets import MAX_WORDS, SNIPPET_CHARS, snippet, words_of

RANKING = st.lists(st.integers(0, 50), unique=True, max_size=30)


def test_what_two_rankings_put_first_is_first() -> None:
    scores = fused({"words": [3, 1, 2], "meaning": [2, 3]})
    assert list(scores) == [3, 2, 1]
    assert scores[3] == pytest.approx(1 / 61 + 1 / 62)


@given(RANKING, RANKING)
def test_fusion_keeps_all_and_is_ordered_and_does_not_depend_on_who_ranks_first(words: list[int], meaning: list[int]) -> None:
    scores = fused({"words": words, "meaning": meaning})
    assert set(scores) == set(words) | set(meaning)
    assert list(scores.values()) == sorted(scores.values(), reverse=True)
    assert scores == pytest.approx(fused({"meaning": meaning, "words": words}))


@given(RANKING, RANKING)
def test_who_is_ahead_in_both_stays_ahead(words: list[int], meaning: list[int]) -> None:
    scores = fused({"words": words, "meaning": meaning})
    for first in words:
        for second in words[words.index(first) + 1 :]:
            if first in meaning and second in meaning and meaning.index(first) < meaning.index(second):
                assert scores[first] > scores[second]


def test_a_snippet_shows_the_first_word_that_was_found_whatever_its_case_and_accents() -> None:
    text = "word " * 200 + "the Café is open " + "word " * 200
    shown = snippet(text, words_of("CAFE"))
    assert "Café is open" in shown
    assert shown.startswith("… ")
    assert shown.endswith(" …")
    assert len(shown) <= SNIPPET_CHARS + 4


@given(st.text(max_size=2000), st.text(max_size=200))
def test_no_text_and_no_question_is_too_strange_for_a_snippet(text: str, question: str) -> None:
    assert "\n" not in snippet(text, words_of(question))
    assert len(words_of(question)) <= MAX_WORDS
