"""Lanes lend each other their idle share: never above the sum, never the reserve, and without flapping."""

from hypothesis import given
from hypothesis import strategies as st

from bus.streams import SERVED_LANES
from contracts.config import LaneWeightsV1, ProviderV1
from services.adapters.lanes import shares
from services.adapters.shares import MEMORY_S, Load, Memory, growing, reserve, shrinking, targets

WEIGHTS = st.builds(LaneWeightsV1, interactive=st.integers(1, 50), standard=st.integers(1, 50), bulk=st.integers(1, 50))
SHARES = st.builds(
    lambda most, lanes: shares(ProviderV1.model_validate({"id": "house", "type": "vllm", "models": [{"id": "m"}], "max_in_flight": most, "lanes": lanes})),
    st.integers(1, 2000),
    WEIGHTS,
)
AMOUNT = st.integers(0, 30) | st.integers(0, 100_000)
DEMANDS = st.fixed_dictionaries(dict.fromkeys((*SERVED_LANES, "all"), AMOUNT))
LOADS = st.dictionaries(st.sampled_from([*SERVED_LANES, "all"]), st.builds(Load, limit=st.integers(1, 2000), held=AMOUNT, waiting=AMOUNT))


class Server:
    """What a server would do: deliver up to each limit, and nothing is ever taken back from a call in flight."""

    def __init__(self, own: dict[str, int]) -> None:
        self.own, self.most, self.memory = own, sum(own.values()), Memory()
        self.limits = dict.fromkeys(own, 1)
        self.held, self.waiting = dict.fromkeys(own, 0), dict.fromkeys(own, 0)
        self.now_s = 0.0

    def deliver(self) -> None:
        for lane in self.own:
            taken = min(self.waiting[lane], max(0, self.limits[lane] - self.held[lane]))
            self.held[lane] += taken
            self.waiting[lane] -= taken
        assert sum(self.held.values()) <= self.most

    def loads(self) -> dict[str, Load]:
        return {lane: Load(self.limits[lane], self.held[lane], self.waiting[lane]) for lane in self.own}

    def look(self) -> dict[str, int]:
        """One look of a lender; calls are delivered between all its steps. What it changed."""
        self.now_s += 0.25
        loads = self.loads()
        wanted = targets(self.own, self.memory.peaks(self.now_s, {lane: load.demand for lane, load in loads.items()}))
        fewer = shrinking(loads, wanted)
        self.deliver()
        self.limits.update(fewer)
        loads = self.loads()
        self.deliver()
        more = growing(self.most, loads, wanted, self.own)
        for lane, limit in more.items():
            self.limits[lane] = limit
            self.deliver()
        return {**fewer, **more}


@given(SHARES, DEMANDS)
def test_the_limits_always_sum_to_what_may_be_in_flight(own: dict[str, int], demands: dict[str, int]) -> None:
    assert sum(targets(own, demands).values()) == sum(own.values())


@given(SHARES, DEMANDS)
def test_every_lane_keeps_its_reserve_beside_what_it_uses_within_its_share(own: dict[str, int], demands: dict[str, int]) -> None:
    for lane, limit in targets(own, demands).items():
        assert limit >= min(own[lane], demands[lane] + reserve(lane, own[lane])) >= 1


@given(SHARES, DEMANDS)
def test_nothing_that_may_be_lent_lies_idle_while_a_lane_waits(own: dict[str, int], demands: dict[str, int]) -> None:
    given_out = targets(own, demands)
    if any(demands[lane] > limit for lane, limit in given_out.items()):
        assert all(limit <= max(own[lane], demands[lane]) for lane, limit in given_out.items())
        assert all(limit - demands[lane] <= reserve(lane, own[lane]) for lane, limit in given_out.items())


@given(SHARES)
def test_without_demand_every_lane_has_its_own_share(own: dict[str, int]) -> None:
    assert targets(own, {}) == own


@given(SHARES, st.lists(st.tuples(DEMANDS, st.floats(0, 1)), min_size=1, max_size=25))
def test_calls_in_flight_never_exceed_the_sum_whatever_the_load(own: dict[str, int], history: list[tuple[dict[str, int], float]]) -> None:
    server = Server(own)
    for arriving, ending in history:
        for lane in own:
            server.waiting[lane] += arriving[lane]
            server.held[lane] -= int(server.held[lane] * ending)
        server.look()


@given(SHARES, DEMANDS)
def test_a_steady_load_is_settled_by_a_few_looks_and_then_left_alone(own: dict[str, int], demands: dict[str, int]) -> None:
    server = Server(own)
    server.waiting = {lane: demands[lane] for lane in own}
    for _ in range(4):
        server.look()
    for _ in range(10):
        assert server.look() == {}


@given(SHARES, st.lists(DEMANDS, min_size=2, max_size=8))
def test_a_load_that_comes_and_goes_within_the_memory_changes_no_limit(own: dict[str, int], cycle: list[dict[str, int]]) -> None:
    memory, now_s, seen = Memory(), 0.0, []
    for _ in range(12):
        for demands in cycle:
            now_s += MEMORY_S / len(cycle) / 2
            seen.append(targets(own, memory.peaks(now_s, demands)))
    assert all(limits == seen[-1] for limits in seen[len(cycle) * 2 :])


@given(SHARES, DEMANDS)
def test_a_lane_whose_load_returns_has_its_share_again_once_the_borrowed_calls_have_ended(own: dict[str, int], demands: dict[str, int]) -> None:
    server = Server(own)
    server.waiting = {lane: demands[lane] for lane in own}
    for _ in range(4):
        server.look()
    server.waiting = dict.fromkeys(own, 10**6)
    server.look()
    server.held = {lane: min(held, server.limits[lane]) for lane, held in server.held.items()}
    server.look()
    assert all(server.limits[lane] >= own[lane] for lane in own)


@given(SHARES, LOADS, DEMANDS)
def test_a_limit_grows_only_into_room_that_nobody_is_committed_to(own: dict[str, int], loads: dict[str, Load], demands: dict[str, int]) -> None:
    most = sum(own.values())
    grown = growing(most, loads, targets(own, demands), own)
    before = sum(load.committed for load in loads.values())
    after = sum(max(grown.get(lane, load.limit), load.held) for lane, load in loads.items())
    assert after <= max(most, before)
    assert all(limit > loads[lane].limit for lane, limit in grown.items())
