"""Labels are configured names and closed lists, whatever a producer writes."""

import pytest

from observability.labels import kind_label, lane_label, lane_of


@pytest.mark.parametrize(
    ("tokens", "lane"),
    [
        (["request", "acme", "chat"], "standard"),
        (["request", "acme", "chat", "bulk"], "bulk"),
        (["request", "acme", "chat", "lane-17"], "_"),
        (["call", "fake", "interactive", "acme", "job-1", "1"], "interactive"),
        (["attempt", "answered", "bulk", "acme", "job-1", "1"], "bulk"),
        (["verdict", "standard", "acme", "job-1", "1"], "standard"),
        (["attempt", "answered"], "_"),
        (["cancel", "acme", "job-1"], None),
        (["result", "acme", "job-1"], None),
    ],
)
def test_the_lane_of_a_message_is_one_of_four_or_an_underscore_or_none(tokens: list[str], lane: str | None) -> None:
    assert lane_of(tokens) == lane


@pytest.mark.parametrize("word", [None, "", "kind-17", "CHAT", '"} 1'])
def test_a_word_that_is_on_no_list_is_an_underscore(word: str | None) -> None:
    assert kind_label(word) == lane_label(word) == "_"
    assert (kind_label("embed"), lane_label("batch")) == ("embed", "batch")
