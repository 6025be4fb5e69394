"""Subjects: what is written is stored by exactly one stream and read by whom DESIGN names."""

import pytest

from bus.streams import SERVED_LANES, consumers, streams
from bus.subjects import Subjects
from contracts.request import KINDS, LANES

S = Subjects()
EACH = {
    "REQUESTS": S.request("acme", "chat", "bulk"),
    "CANCELS": S.cancel("acme", "job-1"),
    "CALLS": S.call("house", "bulk", "acme", "job-1", 2),
    "JOURNAL": S.begun("acme", "job-1", 2),
    "ATTEMPTS": S.attempt("failed", "bulk", "acme", "job-1", 2),
    "VERDICTS": S.verdict("bulk", "acme", "job-1", 2),
    "DELTAS": S.delta("acme", "job-1"),
    "RESULTS": S.settle("acme", "job-1"),
    "COSTS": S.cost("acme"),
    "DOCUMENTS": S.document("acme", "handbook", "page-7"),
    "NOTICES": S.notice("warning", "conflict"),
    "DEAD_LETTERS": S.dead("router", None),
}


def matches(pattern: str, subject: str) -> bool:
    """NATS's own rule: `*` is one token, `>` is all that are left, one at least."""
    wanted, tokens = pattern.split("."), subject.split(".")
    for index, token in enumerate(wanted):
        if token == ">":
            return len(tokens) > index
        if index >= len(tokens) or token not in ("*", tokens[index]):
            return False
    return len(wanted) == len(tokens)


@pytest.mark.parametrize(("stream", "subject"), EACH.items())
def test_each_subject_is_stored_by_its_stream_and_no_other(stream: str, subject: str) -> None:
    assert [name for name, config in streams().items() if any(matches(pattern, subject) for pattern in config.subjects or [])] == [stream]


def test_every_stream_is_written_by_a_subject() -> None:
    assert set(EACH) == set(streams())


@pytest.mark.parametrize("subject", [S.result("acme", "job-1"), S.query("cost")])
def test_results_are_only_stored_by_way_of_settle_and_queries_never(subject: str) -> None:
    assert not any(matches(pattern, subject) for config in streams().values() for pattern in config.subjects or [])


def readers(subject: str) -> list[str]:
    return sorted(consumer.durable for consumer in consumers().values() if any(matches(pattern, subject) for pattern in consumer.filters))


@pytest.mark.parametrize("kind", [*KINDS, "think"])
@pytest.mark.parametrize("lane", [None, *LANES])
def test_a_request_of_each_lane_is_read_by_one_consumer(kind: str, lane: str | None) -> None:
    assert readers(S.request("acme", kind, lane)) == [f"router-{lane or 'standard'}"]


def test_a_request_under_a_lane_that_does_not_exist_is_left_for_the_strays() -> None:
    assert readers(S.request("acme", "chat", "express")) == []


@pytest.mark.parametrize("lane", SERVED_LANES)
def test_attempts_are_read_by_the_meter_and_by_who_acts_on_them(lane: str) -> None:
    assert readers(S.attempt("failed", lane, "acme", "job-1", 1)) == ["meter", f"router-failed-{lane}"]
    assert readers(S.attempt("answered", lane, "acme", "job-1", 1)) == ["meter", f"validator-{lane}"]
    assert readers(S.attempt("late", lane, "acme", "job-1", 1)) == ["meter", f"validator-{lane}"]


def test_verdicts_and_cancels_are_read_by_the_router() -> None:
    assert readers(EACH["VERDICTS"]) == ["router-verdict"]
    assert readers(EACH["CANCELS"]) == ["router-cancel"]


def test_the_guards_of_a_call_cover_every_provider_and_lane_but_only_its_own_request() -> None:
    assert matches(S.any_call("acme", "job-1"), S.call("house", "bulk", "acme", "job-1", 7))
    assert matches(S.any_call("acme", "job-1", 7), S.call("later", "bulk", "acme", "job-1", 7))
    assert not matches(S.any_call("acme", "job-1", 7), S.call("house", "bulk", "acme", "job-1", 8))
    assert not matches(S.any_call("acme", "job-1"), S.call("house", "bulk", "globex", "job-1", 7))
    assert not matches(S.any_call("acme", "job-1"), S.call("house", "bulk", "acme", "job-10", 7))


def test_the_guard_of_an_attempt_covers_each_way_it_can_end() -> None:
    for outcome in ("answered", "failed", "late"):
        assert matches(S.any_attempt("acme", "job-1", 1), S.attempt(outcome, "bulk", "acme", "job-1", 1))
        assert not matches(S.any_attempt("acme", "job-1", 1), S.attempt(outcome, "bulk", "acme", "job-1", 2))


def test_a_stored_result_lies_where_its_guard_looks() -> None:
    transform = streams()["RESULTS"].subject_transform
    assert transform is not None
    assert transform.src is not None
    assert matches(transform.src, S.settle("acme", "job-1"))
    assert transform.dest == S.result("{{wildcard(1)}}", "{{wildcard(2)}}")


@pytest.mark.parametrize("root", ["llm", "staging.llm"])
def test_tokens_stand_without_root_and_version(root: str) -> None:
    subjects = Subjects(root)
    assert subjects.tokens(subjects.attempt("failed", "bulk", "acme", "job-1", 1)) == ["attempt", "failed", "bulk", "acme", "job-1", "1"]


def test_a_dead_letter_of_no_known_tenant_has_a_subject_all_the_same() -> None:
    assert S.dead("router", None) == "llm.v1.dead.router._"
    assert S.dead("router", "acme") == "llm.v1.dead.router.acme"


def test_another_root_shares_no_subject() -> None:
    ours = [pattern for config in streams("staging").values() for pattern in config.subjects or []]
    assert not any(matches(pattern, subject) for pattern in ours for subject in EACH.values())
