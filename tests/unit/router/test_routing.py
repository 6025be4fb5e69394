"""Routing: who is asked first, who after a failure, and why somebody is not asked."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.models import Offer
from catalog.prices import Price, configured
from contracts.attempt import AttemptFinishedV1
from contracts.config import ConfigV1, PriceV1
from contracts.failures import FAILURES
from contracts.origin import CandidateV1, OriginV1, SlipV1
from contracts.outcome import NO_USAGE, AttemptErrorV1, AttemptSummaryV1, FailureType, UsageV1
from contracts.request import ChatRequestV1, EmbedRequestV1
from contracts.result import ErrorV1
from services.router.routing import (
    Ask,
    End,
    Find,
    Needs,
    after_failure,
    after_verdict,
    answer_too_large,
    backoff_s,
    candidates_of,
    first,
    needs_of,
    unfit,
)

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NAMES = ("a", "b", "c", "d")
MILLI_USD = configured(PriceV1(input_mtok=Decimal(1), output_mtok=Decimal(1)), "config@1", bills_output=True)
"""1,000 tokens cost 0.001 USD."""
RETRYABLE = sorted(name for name, traits in FAILURES.items() if traits.retryable)
FINAL = sorted(name for name, traits in FAILURES.items() if not traits.failover and name not in ("expired", "cancelled"))
ELSEWHERE_AT_ONCE = sorted(name for name, traits in FAILURES.items() if traits.failover and not traits.retryable)


def offer(name: str, price: Price | None = MILLI_USD, **more: Any) -> Offer:
    facts: dict[str, Any] = {"type": "openai", "context_window": None, "dimensions": None, "capabilities": {}, "tasks": (), "timeout_s": 120}
    return Offer(provider=name, model="m", price=price, **(facts | more))


def finding(*offers: Offer) -> Find:
    known = {(o.provider, o.model): o for o in offers}
    return lambda provider, model: known.get((provider, model))


ALL = finding(*map(offer, NAMES))
PLAIN = Needs((), 500, 500, None, 500)


def candidates(*names: str) -> tuple[CandidateV1, ...]:
    return tuple(CandidateV1(provider=name, model="m") for name in names)


def failed(
    outcome: str,
    slip: SlipV1,
    *,
    stream: bool = False,
    cost: Decimal | None = Decimal(0),
    deadline_s: float = 3600,
    **more: Any,
) -> AttemptFinishedV1:
    """A failed attempt of the slip's first candidate."""
    origin = OriginV1(
        request_id="job-1",
        tenant="acme",
        kind="chat",
        route="default",
        lane="standard",
        metadata={},
        request_seq=1,
        request_sha256="",
        requested_at=NOW,
        deadline=NOW + timedelta(seconds=deadline_s),
        stream=stream,
    )
    summary = AttemptSummaryV1(
        n=len(slip.attempts) + 1,
        provider=slip.candidates[0].provider,
        model=slip.candidates[0].model,
        outcome=outcome,
        error=AttemptErrorV1(type=outcome, message=f"it was {outcome}"),
        usage=UsageV1() if cost is None else NO_USAGE,
        cost_usd=cost,
    )
    return AttemptFinishedV1(origin=origin, slip=slip, summary=summary, call_seq=1, occurred_at=NOW, **more)


def asked(decision: Ask | End) -> str:
    assert isinstance(decision, Ask), decision
    return decision.slip.candidates[0].provider


# The first call


def test_the_first_candidate_that_can_serve_the_request_is_asked_first() -> None:
    find = finding(offer("a", capabilities={"vision": False}), offer("b"), offer("c"))
    decision = first(candidates("a", "b", "c"), replace(PLAIN, capabilities=("vision",)), find, "route")
    assert asked(decision) == "b"
    assert isinstance(decision, Ask)
    assert [(rejected.model, rejected.why) for rejected in decision.slip.rejected] == [("a/m", "does not offer vision")]


def test_a_capability_that_nobody_denies_counts_as_present() -> None:
    assert unfit(offer("a"), replace(PLAIN, capabilities=("vision", "tools")), Decimal(0)) is None


@pytest.mark.parametrize(
    ("offered", "needs", "kind", "why"),
    [
        (None, PLAIN, "no_candidate", "not configured"),
        (offer("a", capabilities={"tools": False, "vision": False}), replace(PLAIN, capabilities=("tools", "vision")), "no_candidate", "tools, vision"),
        (offer("a", context_window=499), PLAIN, "context_too_long", "about 500 tokens do not fit its context window of 499"),
        (offer("a", price=None), replace(PLAIN, max_cost_usd=Decimal(1)), "unpriced", "price is unknown"),
        (offer("a"), replace(PLAIN, max_cost_usd=Decimal("0.0009")), "budget_exceeded", "above max_cost_usd 0.0009"),
    ],
)
def test_a_rejection_names_its_reason(offered: Offer | None, needs: Needs, kind: str, why: str) -> None:
    rejection = unfit(offered, needs, Decimal(0))
    assert rejection is not None
    assert rejection.type == kind
    assert why in rejection.why


def test_a_prompt_that_just_fits_the_context_window_is_allowed() -> None:
    assert unfit(offer("a", context_window=500), PLAIN, Decimal(0)) is None


def test_a_cost_equal_to_the_limit_is_allowed() -> None:
    assert unfit(offer("a"), replace(PLAIN, max_cost_usd=Decimal("0.001")), Decimal(0)) is None
    assert unfit(offer("a"), replace(PLAIN, max_cost_usd=Decimal("0.003")), Decimal("0.002")) is None


def test_an_unpriced_model_is_allowed_where_no_limit_is_set() -> None:
    assert unfit(offer("a", price=None), PLAIN, Decimal(0)) is None


def test_a_price_that_knows_only_the_input_is_unpriced_under_a_limit() -> None:
    half = configured(PriceV1(input_mtok=Decimal(1)), "config@1", bills_output=True)
    rejection = unfit(offer("a", price=half), replace(PLAIN, max_cost_usd=Decimal(9)), Decimal(0))
    assert rejection is not None
    assert rejection.type == "unpriced"


def test_a_free_model_is_within_any_limit() -> None:
    assert unfit(offer("a", price=Price("free")), replace(PLAIN, max_cost_usd=Decimal(0)), Decimal(0)) is None


@pytest.mark.parametrize(
    ("find", "needs", "kind", "field"),
    [
        (finding(offer("a"), offer("b")), replace(PLAIN, max_cost_usd=Decimal("0.0001")), "budget_exceeded", "max_cost_usd"),
        (finding(offer("a", price=None), offer("b", price=None)), replace(PLAIN, max_cost_usd=Decimal(1)), "unpriced", "max_cost_usd"),
        (finding(offer("a", context_window=1), offer("b", context_window=1)), PLAIN, "context_too_long", None),
        (finding(), PLAIN, "no_candidate", "route"),
        (finding(offer("a", context_window=1)), PLAIN, "no_candidate", "route"),
    ],
)
def test_a_request_that_no_candidate_can_serve_is_refused_with_each_reason(find: Find, needs: Needs, kind: str, field: str | None) -> None:
    decision = first(candidates("a", "b"), needs, find, "route")
    assert isinstance(decision, End)
    assert (decision.status, decision.error.type, decision.error.field) == ("refused", kind, field)
    assert [rejected.model for rejected in decision.error.rejected] == ["a/m", "b/m"]
    assert all(rejected.why for rejected in decision.error.rejected)


# Which candidates there are

CONFIG = ConfigV1.model_validate(
    {
        "version": 2,
        "providers": [{"id": name, "type": "openai", "models": [{"id": "m"}, {"id": "org/deep/model"}]} for name in ("a", "b")],
        "routes": {
            "default": {"candidates": ["b/m", "a/org/deep/model"]},
            "embedding": {"candidates": ["a/m"]},
            "twice": {"candidates": ["a/m", "b/m", "a/m"]},
        },
    }
)
CHAT = {"messages": [{"role": "user", "content": "hi"}]}


def found(request: ChatRequestV1 | EmbedRequestV1, kind: str = "chat") -> tuple[str | None, list[str]]:
    either = candidates_of(request, kind, CONFIG)
    assert not isinstance(either, ErrorV1), either
    return either[0], [str(candidate) for candidate in either[1]]


def test_a_route_gives_its_candidates_in_order() -> None:
    assert found(ChatRequestV1.model_validate(CHAT)) == ("default", ["b/m", "a/org/deep/model"])


def test_an_embed_request_takes_the_embedding_route() -> None:
    assert found(EmbedRequestV1(input=("hi",)), "embed") == ("embedding", ["a/m"])


def test_a_pinned_model_is_the_only_candidate_and_its_name_may_hold_slashes() -> None:
    assert found(ChatRequestV1.model_validate({**CHAT, "model": "a/org/deep/model"})) == (None, ["a/org/deep/model"])


def test_a_candidate_that_a_route_names_twice_is_a_candidate_once() -> None:
    assert found(ChatRequestV1.model_validate({**CHAT, "route": "twice"})) == ("twice", ["a/m", "b/m"])


@pytest.mark.parametrize(
    ("asked_for", "field"),
    [({"route": "nowhere"}, "route"), ({"model": "a/other"}, "model"), ({"model": "zzz/m"}, "model"), ({"model": "m"}, "model"), ({"model": "/"}, "model")],
)
def test_an_unknown_route_or_model_is_refused_by_its_field(asked_for: dict[str, str], field: str) -> None:
    error = candidates_of(ChatRequestV1.model_validate({**CHAT, **asked_for}), "chat", CONFIG)
    assert isinstance(error, ErrorV1)
    assert (error.type, error.field) == ("no_candidate", field)


def test_what_a_request_needs_is_read_off_its_content() -> None:
    picture = {"role": "user", "parts": [{"type": "blob", "modality": "image", "mime_type": "image/png", "content": ""}]}
    tools = [{"name": "f"}]
    needs = needs_of(ChatRequestV1.model_validate({"messages": [picture], "tools": tools, "stream": True, "sampling": {"max_output_tokens": 7}}), 100)
    assert set(needs.capabilities) == {"vision", "tools", "streaming"}
    assert (needs.output_tokens, needs.context_tokens) == (7, 107)


@pytest.mark.parametrize(("texts", "refused"), [(1, False), (100, False), (101, True)])
def test_an_embed_request_whose_answer_cannot_fit_one_message_is_refused_before_it_is_paid_for(texts: int, refused: bool) -> None:
    error = answer_too_large(EmbedRequestV1(input=("x",) * texts), offer("a", dimensions=1000), 1_000_000)
    assert (error is not None) == refused
    assert error is None or (error.type, error.field) == ("too_large", "input")


# After a failure


@pytest.mark.parametrize("outcome", RETRYABLE)
def test_a_retryable_failure_asks_the_same_candidate_until_its_class_has_had_its_calls(outcome: FailureType) -> None:
    slip = SlipV1(candidates=candidates("a", "b"))
    providers = ["a"]
    while providers[-1] == "a":
        decision = after_failure(failed(outcome, slip), PLAIN, ALL, NOW, 0)
        assert isinstance(decision, Ask)
        slip = decision.slip
        providers.append(slip.candidates[0].provider)
    assert providers.count("a") == FAILURES[outcome].max_calls


@pytest.mark.parametrize("outcome", ELSEWHERE_AT_ONCE)
def test_a_failure_that_no_retry_can_mend_moves_on_at_once(outcome: str) -> None:
    decision = after_failure(failed(outcome, SlipV1(candidates=candidates("a", "b"))), PLAIN, ALL, NOW, 0)
    assert asked(decision) == "b"
    assert isinstance(decision, Ask)
    assert decision.delay_s == 0


@pytest.mark.parametrize("outcome", FINAL)
def test_a_failure_of_the_request_itself_ends_at_once(outcome: str) -> None:
    decision = after_failure(failed(outcome, SlipV1(candidates=candidates("a", "b"))), PLAIN, ALL, NOW, 0)
    assert isinstance(decision, End)
    assert (decision.status, decision.error.type, decision.error.provider) == ("failed", outcome, "a")


@pytest.mark.parametrize(("outcome", "status", "kind"), [("cancelled", "cancelled", "cancelled"), ("expired", "expired", "deadline_exceeded")])
def test_a_cancelled_or_expired_call_ends_its_request(outcome: str, status: str, kind: str) -> None:
    decision = after_failure(failed(outcome, SlipV1(candidates=candidates("a", "b"))), PLAIN, ALL, NOW, 0)
    assert isinstance(decision, End)
    assert (decision.status, decision.error.type) == (status, kind)


@pytest.mark.parametrize("outcome", sorted(set(FAILURES) - {"cancelled"}))
def test_nothing_is_asked_after_the_deadline(outcome: str) -> None:
    decision = after_failure(failed(outcome, SlipV1(candidates=candidates("a", "b")), deadline_s=0), PLAIN, ALL, NOW, 0)
    assert isinstance(decision, End)
    assert (decision.status, decision.error.type) == ("expired", "deadline_exceeded")


def test_retry_after_is_honoured() -> None:
    decision = after_failure(failed("rate_limited", SlipV1(candidates=candidates("a", "b")), retry_after_s=30), PLAIN, ALL, NOW, -1)
    assert asked(decision) == "a"
    assert isinstance(decision, Ask)
    assert decision.delay_s >= 30


def test_a_retry_after_that_passes_the_deadline_moves_on() -> None:
    decision = after_failure(failed("rate_limited", SlipV1(candidates=candidates("a", "b")), retry_after_s=60, deadline_s=60), PLAIN, ALL, NOW, 0)
    assert asked(decision) == "b"
    assert isinstance(decision, Ask)
    assert decision.delay_s == 0


def test_a_retry_after_that_passes_the_deadline_ends_where_nobody_is_left() -> None:
    decision = after_failure(failed("rate_limited", SlipV1(candidates=candidates("a")), retry_after_s=60, deadline_s=60), PLAIN, ALL, NOW, 0)
    assert isinstance(decision, End)
    assert (decision.status, decision.error.type, decision.error.retryable) == ("failed", "rate_limited", True)


@given(st.integers(1, 1000), st.floats(-1, 1), st.none() | st.floats(0, 1e6))
def test_backoff_stays_between_its_bounds_unless_the_provider_asks_for_more(calls: int, jitter: float, retry_after_s: float | None) -> None:
    delay = backoff_s(calls, retry_after_s, jitter)
    assert 0.75 <= delay <= max(75, retry_after_s or 0)
    assert delay >= (retry_after_s or 0)


def test_backoff_doubles() -> None:
    assert [backoff_s(calls, None, 0) for calls in (1, 2, 3, 7, 8)] == [1, 2, 4, 60, 60]


def test_a_candidate_that_was_removed_from_the_configuration_is_left_for_the_next() -> None:
    find = finding(offer("c"))
    decision = after_failure(failed("overloaded", SlipV1(candidates=candidates("a", "b", "c"))), PLAIN, find, NOW, 0)
    assert asked(decision) == "c"
    assert isinstance(decision, Ask)
    assert [(rejected.model, rejected.why) for rejected in decision.slip.rejected] == [("b/m", "not configured")]


def test_the_end_of_a_failover_names_who_was_not_asked() -> None:
    needs = replace(PLAIN, max_cost_usd=Decimal("0.001"))
    find = finding(offer("a"), offer("b", price=None), offer("c"))
    decision = after_failure(failed("auth", SlipV1(candidates=candidates("a", "b", "c")), cost=Decimal("0.0001")), needs, find, NOW, 0)
    assert isinstance(decision, End)
    assert decision.error.type == "auth"
    reasons = {rejected.model: rejected.why for rejected in decision.error.rejected}
    assert "unknown" in reasons["b/m"]
    assert "max_cost_usd" in reasons["c/m"]


@pytest.mark.parametrize("facts", [{"streamed": True}, {"stream": True}])
def test_once_an_answer_may_have_been_shown_only_the_same_provider_is_asked_again(facts: dict[str, Any]) -> None:
    slip = SlipV1(candidates=candidates("a", "b"))
    decision = after_failure(failed("outcome_unknown", slip, **facts), PLAIN, ALL, NOW, 0)
    assert asked(decision) == "a"
    assert isinstance(decision, Ask)
    ended = after_failure(failed("overloaded", decision.slip.model_copy(update={"attempts": decision.slip.attempts * 3})), PLAIN, ALL, NOW, 0)
    assert isinstance(ended, End)
    assert ended.status == "failed"


# Money over several attempts


def test_what_was_spent_counts_against_the_limit() -> None:
    slip = SlipV1(candidates=candidates("a"))
    for limit, allowed in (("0.003", True), ("0.0029", False)):
        decision = after_failure(failed("timeout", slip, cost=Decimal("0.002")), replace(PLAIN, max_cost_usd=Decimal(limit)), ALL, NOW, 0)
        assert isinstance(decision, Ask) == allowed


def test_an_attempt_of_unknown_cost_counts_as_its_estimate() -> None:
    slip = SlipV1(candidates=candidates("a"))
    for limit, allowed in (("0.002", True), ("0.0019", False)):
        attempt = failed("timeout", slip, cost=None, estimated_cost_usd=Decimal("0.001"))
        assert isinstance(after_failure(attempt, replace(PLAIN, max_cost_usd=Decimal(limit)), ALL, NOW, 0), Ask) == allowed


def test_every_attempt_of_unknown_cost_counts_not_only_the_last() -> None:
    needs = replace(PLAIN, max_cost_usd=Decimal("0.0025"))
    again = after_failure(failed("timeout", SlipV1(candidates=candidates("a", "b")), cost=None, estimated_cost_usd=Decimal("0.001")), needs, ALL, NOW, 0)
    assert isinstance(again, Ask)
    ended = after_failure(failed("timeout", again.slip, cost=None, estimated_cost_usd=Decimal("0.001")), needs, ALL, NOW, 0)
    assert isinstance(ended, End)


# Repair turns


def test_a_repair_turn_asks_the_same_candidate_and_counts() -> None:
    decision = after_verdict(failed("answered", SlipV1(candidates=candidates("a", "b"))), PLAIN, ALL, NOW)
    assert asked(decision) == "a"
    assert isinstance(decision, Ask)
    assert (decision.slip.repairs, len(decision.slip.attempts), decision.delay_s) == (1, 1, 0)


def test_a_repair_turn_beyond_the_limit_fails_as_invalid_output() -> None:
    needs = replace(PLAIN, max_cost_usd=Decimal("0.0019"))
    decision = after_verdict(failed("answered", SlipV1(candidates=candidates("a")), cost=Decimal("0.001")), needs, ALL, NOW)
    assert isinstance(decision, End)
    assert (decision.status, decision.error.type) == ("failed", "invalid_output")


def test_an_answer_of_unknown_cost_counts_as_its_estimate_before_a_repair_turn() -> None:
    needs = replace(PLAIN, max_cost_usd=Decimal("0.0019"))
    attempt = failed("answered", SlipV1(candidates=candidates("a")), cost=None, estimated_cost_usd=Decimal("0.001"))
    assert isinstance(after_verdict(attempt, needs, ALL, NOW), End)


def test_no_repair_turn_begins_after_the_deadline() -> None:
    decision = after_verdict(failed("answered", SlipV1(candidates=candidates("a")), deadline_s=0), PLAIN, ALL, NOW)
    assert isinstance(decision, End)
    assert decision.status == "expired"


def test_an_answer_that_needed_repair_is_not_counted_as_a_failed_call() -> None:
    repaired = after_verdict(failed("answered", SlipV1(candidates=candidates("a", "b"))), PLAIN, ALL, NOW)
    assert isinstance(repaired, Ask)
    assert asked(after_failure(failed("timeout", repaired.slip), PLAIN, ALL, NOW, 0)) == "a"


# Whatever happens


@dataclass(frozen=True)
class Ending:
    """How one call went, seconds after the one before."""

    outcome: str
    after_s: float
    retry_after_s: float | None
    streamed: bool
    jitter: float


ENDINGS = st.builds(
    Ending,
    outcome=st.sampled_from(sorted(FAILURES)) | st.sampled_from(RETRYABLE),
    after_s=st.floats(0, 30),
    retry_after_s=st.none() | st.floats(0, 200),
    streamed=st.booleans().map(lambda _: False) | st.booleans(),
    jitter=st.floats(-1, 1),
)
MOST_CALLS = max(traits.max_calls for traits in FAILURES.values())


@given(st.lists(ENDINGS, min_size=MOST_CALLS * len(NAMES) + 1, max_size=MOST_CALLS * len(NAMES) + 1), st.integers(1, len(NAMES)), st.booleans())
def test_every_path_ends_and_breaks_no_rule_on_its_way(endings: list[Ending], how_many: int, stream: bool) -> None:
    slip, now, deadline_s = SlipV1(candidates=candidates(*NAMES[:how_many])), NOW, 300.0
    calls: Counter[str] = Counter({"a": 1})
    by_class: Counter[tuple[str, str]] = Counter()
    shown_by: str | None = None
    for ending in endings:
        provider = slip.candidates[0].provider
        by_class[provider, ending.outcome] += 1
        now += timedelta(seconds=ending.after_s)
        attempt = failed(ending.outcome, slip, stream=stream, deadline_s=deadline_s, retry_after_s=ending.retry_after_s, streamed=stream and ending.streamed)
        if attempt.streamed:
            shown_by = provider
        decision = after_failure(attempt, PLAIN, ALL, now, ending.jitter)
        if isinstance(decision, End):
            assert len(attempt.slip.attempts) < MOST_CALLS * how_many
            return
        traits = FAILURES[attempt.summary.outcome]  # type: ignore[index]  # drawn from it
        slip, now = decision.slip, now + timedelta(seconds=decision.delay_s)
        following = slip.candidates[0].provider
        calls[following] += 1
        assert now < attempt.origin.deadline
        assert traits.retryable or traits.failover
        assert following in (provider, *NAMES[NAMES.index(provider) + 1 :])
        assert calls[following] <= MOST_CALLS
        assert following != provider or by_class[provider, ending.outcome] < traits.max_calls
        assert following != provider or decision.delay_s >= (ending.retry_after_s or 0)
        assert shown_by in (None, following)
        assert len(slip.attempts) == sum(calls.values()) - 1
    pytest.fail("the request never ended")


@given(st.lists(st.tuples(st.sampled_from(RETRYABLE), st.none() | st.decimals(0, "0.01", places=6)), max_size=12), st.decimals(0, "0.02", places=4))
def test_no_path_asks_beyond_its_limit(endings: list[tuple[str, Decimal | None]], limit: Decimal) -> None:
    needs = replace(PLAIN, max_cost_usd=limit)
    prices: Mapping[str, Decimal] = {name: Decimal("0.001") for name in NAMES}
    decision = first(candidates(*NAMES), needs, ALL, "route")
    spent = Decimal(0)
    for outcome, cost in endings:
        if isinstance(decision, End):
            return
        assert spent + prices[asked(decision)] <= limit
        spent += prices[asked(decision)] if cost is None else cost
        attempt = failed(outcome, decision.slip, cost=cost, estimated_cost_usd=decision.estimated_cost_usd)
        decision = after_failure(attempt, needs, ALL, NOW, 0)


def test_the_first_wait_in_the_queue_is_kept_over_later_ones() -> None:
    retried = after_failure(failed("overloaded", SlipV1(candidates=candidates("a")), queue_s=0.25), PLAIN, ALL, NOW, 0)
    assert isinstance(retried, Ask)
    repaired = after_verdict(failed("answered", retried.slip, queue_s=3.0), PLAIN, ALL, NOW)
    assert isinstance(repaired, Ask)
    assert (retried.slip.queue_s, repaired.slip.queue_s) == (0.25, 0.25)
