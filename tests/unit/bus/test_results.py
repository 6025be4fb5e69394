"""A result sums its attempts; what is unknown stays unknown."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from bus.results import cost_of, event_headers, result, total, usage_of
from contracts.origin import OriginV1
from contracts.outcome import NO_USAGE, AttemptSummaryV1, UsageV1

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
COUNTS = st.none() | st.integers(0, 10**9)
USAGES = st.builds(UsageV1, **dict.fromkeys(UsageV1.model_fields, COUNTS))
COSTS = st.none() | st.decimals(0, 1000, places=9)
ATTEMPTS = st.lists(
    st.builds(AttemptSummaryV1, n=st.integers(1, 9), provider=st.just("a"), model=st.just("m"), outcome=st.just("timeout"), usage=USAGES, cost_usd=COSTS)
)
ORIGIN = OriginV1(
    request_id="job-1",
    tenant="acme",
    kind="chat",
    route="default",
    lane="standard",
    metadata={"ticket": "T-1"},
    request_seq=42,
    request_sha256="abc",
    requested_at=NOW - timedelta(seconds=2.5),
    deadline=NOW + timedelta(hours=1),
    replay_of="job-0",
    trace_id="f" * 32,
)


def attempt(usage: UsageV1, cost: Decimal | None, provider: str = "a") -> AttemptSummaryV1:
    return AttemptSummaryV1(n=1, provider=provider, model="m", outcome="answered", usage=usage, cost_usd=cost)


@given(st.lists(COUNTS))
def test_a_sum_is_unknown_as_soon_as_one_addend_is(counts: list[int | None]) -> None:
    known = [count for count in counts if count is not None]
    assert total(counts) == (sum(known) if len(known) == len(counts) else None)


@given(ATTEMPTS.filter(bool))
def test_usage_is_summed_field_by_field(attempts: list[AttemptSummaryV1]) -> None:
    summed = usage_of(attempts)
    for field in UsageV1.model_fields:
        counts = [getattr(attempt.usage, field) for attempt in attempts]
        assert getattr(summed, field) == (None if None in counts else sum(counts))


@given(ATTEMPTS)
def test_the_known_cost_is_what_is_known_and_the_cost_null_where_any_is_not(attempts: list[AttemptSummaryV1]) -> None:
    cost, known = cost_of(attempts)
    costs = [attempt.cost_usd for attempt in attempts]
    assert known == sum((one for one in costs if one is not None), Decimal(0))
    assert cost == (None if None in costs else known)


def test_a_request_without_an_attempt_cost_nothing() -> None:
    assert cost_of([]) == (Decimal(0), Decimal(0))


def test_tokens_that_one_attempt_did_not_report_are_unknown_in_the_sum_and_never_zero() -> None:
    summed = usage_of([attempt(UsageV1(input_tokens=5, output_tokens=1), None), attempt(UsageV1(), None)])
    assert (summed.input_tokens, summed.output_tokens) == (None, None)


def test_an_attempt_that_never_connected_adds_nothing() -> None:
    summed = usage_of([attempt(NO_USAGE, Decimal(0)), attempt(UsageV1(input_tokens=5, output_tokens=1), None)])
    assert (summed.input_tokens, summed.output_tokens) == (5, 1)


def test_a_result_says_who_asked_and_who_answered_last() -> None:
    attempts = [attempt(NO_USAGE, Decimal(0), "a"), attempt(UsageV1(input_tokens=5, output_tokens=1), Decimal("0.1"), "b")]
    done = result(ORIGIN, attempts, "succeeded", NOW)
    assert (done.provider, done.cost_usd, done.cost_known_usd, done.duration_s) == ("b", Decimal("0.1"), Decimal("0.1"), 2.5)
    assert (done.request_seq, done.request_sha256, done.replay_of, done.trace_id, done.metadata) == (42, "abc", "job-0", "f" * 32, {"ticket": "T-1"})


def test_a_result_carries_the_headers_of_a_cloud_event() -> None:
    headers = event_headers(result(ORIGIN, [], "refused", NOW))
    assert (headers["ce-type"], headers["ce-subject"], headers["ce-id"]) == ("headrace.result.v1", "job-1", "acme.job-1")
    assert headers["ce-specversion"] == "1.0"


def test_the_same_request_makes_the_same_event_id_and_another_tenants_another() -> None:
    theirs = ORIGIN.model_copy(update={"tenant": "globex"})
    assert event_headers(result(ORIGIN, [], "failed", NOW))["ce-id"] != event_headers(result(theirs, [], "failed", NOW))["ce-id"]
