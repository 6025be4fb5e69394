"""What an attempt says of usage and cost: zero is known, null is not."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from catalog.models import Offer
from catalog.prices import FREE, Price, configured
from contracts.attempt import AttemptFinishedV1
from contracts.call import CallV1
from contracts.config import PriceV1
from contracts.content import ChatMessageV1
from contracts.origin import CandidateV1, OriginV1, SlipV1
from contracts.outcome import NO_USAGE, FailureType, UsageV1
from services.adapters.attempts import Dial, attempt_of
from services.adapters.protocol import Answer, Failure

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PRICE = configured(PriceV1(input_mtok=Decimal(1), output_mtok=Decimal(2), cache_read_mtok=Decimal("0.1")), "config@7", bills_output=True)
DIAL = Dial(call_seq=9, queue_s=0.25, duration_s=1.5, first_token_s=None, streamed=False)


def offer(price: Price | None) -> Offer:
    return Offer("house", "vllm", "m", None, None, {}, (), price, 120)


def call(slip: SlipV1 | None = None) -> CallV1:
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
        deadline=NOW + timedelta(hours=1),
    )
    slip = slip or SlipV1(candidates=(CandidateV1(provider="house", model="m"),))
    return CallV1(n=1, provider="house", model="m", origin=origin, slip=slip, estimated_cost_usd=Decimal("0.004"))


def attempt(outcome: Answer | Failure, price: Price | None = PRICE, dial: Dial = DIAL) -> AttemptFinishedV1:
    return attempt_of(call(), outcome, offer(price), dial, NOW)


def answer(usage: UsageV1, **more: Any) -> Answer:
    return Answer(message=ChatMessageV1(role="assistant", content="hi"), finish_reason="stop", usage=usage, **more)


KNOWN = UsageV1(input_tokens=1000, output_tokens=100, cache_read_tokens=400)


def test_an_answer_costs_its_usage_times_its_price() -> None:
    done = attempt(answer(KNOWN))
    assert (done.summary.outcome, done.summary.cost_usd, done.cost_basis, done.price_version) == ("answered", Decimal("0.00084"), "usage", "config@7")


def test_what_the_provider_says_it_cost_wins() -> None:
    done = attempt(answer(KNOWN, cost_usd=Decimal("0.5")))
    assert (done.summary.cost_usd, done.cost_basis) == (Decimal("0.5"), "provider")


@pytest.mark.parametrize(
    ("usage", "price"),
    [(KNOWN, None), (UsageV1(), PRICE), (UsageV1(input_tokens=5), PRICE), (UsageV1(input_tokens=5, output_tokens=1, cache_write_tokens=5), PRICE)],
)
def test_an_answer_of_unknown_usage_or_price_has_an_unknown_cost(usage: UsageV1, price: Price | None) -> None:
    done = attempt(answer(usage), price)
    assert (done.summary.cost_usd, done.cost_basis) == (None, "unknown")
    assert done.summary.usage == usage


def test_a_free_model_costs_zero_even_where_its_usage_is_unknown() -> None:
    assert attempt(answer(UsageV1()), FREE).summary.cost_usd == 0


@pytest.mark.parametrize("kind", ["rate_limited", "unavailable", "auth", "invalid_request", "expired", "cancelled"])
@pytest.mark.parametrize("price", [PRICE, None])
def test_a_call_that_was_refused_or_never_connected_cost_nothing_and_that_is_known(kind: FailureType, price: Price | None) -> None:
    done = attempt(Failure(kind, "no", usage_known_zero=True), price)
    assert (done.summary.usage, done.summary.cost_usd, done.cost_basis) == (NO_USAGE, Decimal(0), "usage")


@pytest.mark.parametrize("kind", ["timeout", "truncated_stream", "outcome_unknown", "cancelled"])
def test_a_failure_after_the_request_was_sent_has_unknown_usage_and_cost_and_an_estimate(kind: FailureType) -> None:
    done = attempt(Failure(kind, "lost"))
    assert (done.summary.usage, done.summary.cost_usd, done.cost_basis) == (UsageV1(), None, "unknown")
    assert done.estimated_cost_usd == Decimal("0.004")


def test_a_failure_whose_usage_the_provider_told_costs_that() -> None:
    done = attempt(Failure("content_filtered", "filtered", usage=KNOWN, usage_known_zero=True))
    assert (done.summary.usage, done.summary.cost_usd, done.cost_basis) == (KNOWN, Decimal("0.00084"), "usage")


def test_a_failure_carries_what_the_router_decides_on() -> None:
    done = attempt(Failure("rate_limited", "slow down", provider_code="429", retry_after_s=7, usage_known_zero=True), dial=Dial(9, 0.25, 1.5, 0.5, True))
    assert (done.summary.outcome, done.retry_after_s, done.streamed, done.first_token_s, done.call_seq) == ("rate_limited", 7, True, 0.5, 9)
    assert done.summary.error is not None
    assert (done.summary.error.type, done.summary.error.message, done.summary.error.provider_code) == ("rate_limited", "slow down", "429")
    assert done.message is None


def test_a_model_that_the_catalog_does_not_know_is_unpriced() -> None:
    done = attempt_of(call(), answer(KNOWN), None, DIAL, NOW)
    assert (done.summary.cost_usd, done.price_version) == (None, None)
