"""The router and the health of providers: unhealthy ones are asked last, never refused."""

import pytest

from contracts.origin import SlipV1
from services.router.routing import Ailing, Ask, End, after_failure, first
from tests.unit.router.test_routing import ALL, NOW, PLAIN, asked, candidates, failed, finding, offer


def ill(*names: str) -> Ailing:
    return lambda provider: "cannot connect" if provider in names else None


def order(decision: Ask | End) -> list[str]:
    assert isinstance(decision, Ask), decision
    return [candidate.provider for candidate in decision.slip.candidates]


def overtaken(decision: Ask | End) -> list[str]:
    assert isinstance(decision, Ask), decision
    return [warning.message.split("/")[0] for warning in decision.slip.warnings if warning.type == "provider_unhealthy"]


@pytest.mark.parametrize(
    ("unhealthy", "asked_in_order", "told"),
    [
        ((), "abc", []),
        (("a",), "bca", ["a"]),
        (("b",), "acb", ["b"]),
        (("c",), "abc", []),
        (("a", "b"), "cab", ["a", "b"]),
        (("a", "b", "c"), "abc", []),
    ],
)
def test_unhealthy_candidates_are_asked_after_the_others_and_all_of_them_in_order(unhealthy: tuple[str, ...], asked_in_order: str, told: list[str]) -> None:
    decision = first(candidates("a", "b", "c"), PLAIN, ALL, "route", ailing=ill(*unhealthy))
    assert (order(decision), overtaken(decision)) == (list(asked_in_order), told)


def test_a_healthy_candidate_that_cannot_serve_the_request_makes_no_unhealthy_one_wait() -> None:
    decision = first(candidates("a", "b"), PLAIN, finding(offer("a")), "route", ailing=ill("a"))
    assert (asked(decision), overtaken(decision)) == ("a", [])


def test_the_estimate_is_that_of_the_candidate_which_is_asked() -> None:
    decision = first(candidates("a", "b"), PLAIN, finding(offer("a"), offer("b", price=None)), "route", ailing=ill("a"))
    assert isinstance(decision, Ask)
    assert decision.estimated_cost_usd is None


def test_the_next_candidate_is_a_healthy_one_and_the_others_are_not_lost() -> None:
    decision = after_failure(failed("auth", SlipV1(candidates=candidates("a", "b", "c"))), PLAIN, ALL, NOW, 0, ill("b"))
    assert (order(decision), overtaken(decision)) == (["c", "b"], ["b"])
    assert isinstance(decision, Ask)
    last = after_failure(failed("auth", decision.slip), PLAIN, ALL, NOW, 0, ill("b"))
    assert (order(last), overtaken(last)) == (["b"], ["b"])


def test_a_candidate_that_fell_ill_is_not_waited_for_while_a_healthy_one_is_left() -> None:
    slip = SlipV1(candidates=candidates("a", "b"))
    assert asked(after_failure(failed("unavailable", slip), PLAIN, ALL, NOW, 0, ill())) == "a"
    moved = after_failure(failed("unavailable", slip), PLAIN, ALL, NOW, 0, ill("a"))
    assert isinstance(moved, Ask)
    assert (asked(moved), moved.delay_s) == ("b", 0)
    assert asked(after_failure(failed("unavailable", slip), PLAIN, ALL, NOW, 0, ill("a", "b"))) == "a"


def test_a_stream_that_has_begun_stays_where_it_is() -> None:
    decision = after_failure(failed("truncated_stream", SlipV1(candidates=candidates("a", "b")), streamed=True), PLAIN, ALL, NOW, 0, ill("a"))
    assert asked(decision) == "a"


def test_a_failure_of_the_request_itself_ends_it_whoever_is_ill() -> None:
    assert isinstance(after_failure(failed("invalid_request", SlipV1(candidates=candidates("a", "b"))), PLAIN, ALL, NOW, 0, ill("a")), End)
