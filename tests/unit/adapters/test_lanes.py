"""How a provider's calls in flight are shared between lanes."""

from itertools import permutations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bus.streams import SERVED_LANES
from contracts.config import LaneWeightsV1, ProviderV1
from services.adapters.lanes import all_durables, consumers_of, shares

WEIGHTS = st.builds(LaneWeightsV1, interactive=st.integers(1, 50), standard=st.integers(1, 50), bulk=st.integers(1, 50), batch=st.integers(1, 50))
IDS = st.from_regex(r"[a-z0-9_-]{1,32}", fullmatch=True).filter(lambda name: name != "later")


def provider(name: str = "house", **fields: Any) -> ProviderV1:
    return ProviderV1.model_validate({"id": name, "type": "vllm", "models": [{"id": "m"}], **fields})


@given(st.integers(1, 10_000), WEIGHTS)
def test_the_shares_sum_to_what_may_be_in_flight_and_no_lane_starves(max_in_flight: int, lanes: LaneWeightsV1) -> None:
    given_out = shares(provider(max_in_flight=max_in_flight, lanes=lanes))
    assert sum(given_out.values()) == max_in_flight
    assert min(given_out.values()) >= 1


@given(st.integers(4, 10_000), WEIGHTS)
def test_a_lane_of_more_weight_has_no_smaller_share(max_in_flight: int, lanes: LaneWeightsV1) -> None:
    given_out = shares(provider(max_in_flight=max_in_flight, lanes=lanes))
    for heavier, lighter in permutations(SERVED_LANES, 2):
        if getattr(lanes, heavier) > getattr(lanes, lighter):
            assert given_out[heavier] >= given_out[lighter]


def test_equal_weights_differ_by_at_most_one() -> None:
    given_out = shares(provider(max_in_flight=100, lanes={"interactive": 1, "standard": 1, "bulk": 1}))
    assert sorted(given_out.values()) == [33, 33, 34]


def test_below_four_in_flight_all_lanes_share_one_consumer() -> None:
    for max_in_flight in (1, 2, 3):
        (consumer,) = consumers_of(provider(max_in_flight=max_in_flight), "llm.v1.")
        assert (shares(provider(max_in_flight=max_in_flight)), consumer.filters) == ({"all": max_in_flight}, ("llm.v1.call.house.>",))


def test_from_four_in_flight_on_each_lane_has_its_own_consumer() -> None:
    consumers = consumers_of(provider(max_in_flight=4), "llm.v1.")
    assert [consumer.filters for consumer in consumers] == [(f"llm.v1.call.house.{lane}.>",) for lane in SERVED_LANES]
    assert sum(shares(provider(max_in_flight=4)).values()) == 4


@given(st.integers(1, 10_000), WEIGHTS)
def test_a_durable_begins_with_one_call_whatever_its_share(max_in_flight: int, lanes: LaneWeightsV1) -> None:
    consumers = consumers_of(provider(max_in_flight=max_in_flight, lanes=lanes), "llm.v1.")
    assert [consumer.max_ack_pending for consumer in consumers] == [1] * len(consumers)
    assert len(consumers) <= max_in_flight


@given(
    st.lists(IDS | IDS.flatmap(lambda name: st.sampled_from([f"{name[:20]}-{lane}" for lane in (*SERVED_LANES, "all")])), min_size=2, max_size=8, unique=True)
)
def test_the_durables_of_different_providers_never_collide(names: list[str]) -> None:
    durables = [durable for name in names for durable in all_durables(name)]
    assert len(durables) == len(set(durables))


@given(st.integers(1, 100))
def test_every_durable_that_may_exist_is_looked_for_when_lanes_regroup(max_in_flight: int) -> None:
    of = provider(max_in_flight=max_in_flight)
    assert {consumer.durable for consumer in consumers_of(of, "llm.v1.")} <= set(all_durables(of.id))
