"""How the lanes of a provider lend each other what they do not use. Pure: limits and load in, limits out."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

MEMORY_S = 10.0
"""A lane is as busy as at its busiest moment in this time: what it has just used is not lent, so that limits do not flap."""
KEPT = {"interactive": 0.5}
"""The part of its share that a lane always has free for what may come, until its share is used up; one call for the others."""


@dataclass(frozen=True)
class Load:
    """A lane's consumer now: what it may hold, what it holds, and what waits for it."""

    limit: int
    held: int
    waiting: int

    @property
    def demand(self) -> int:
        return self.held + self.waiting

    @property
    def committed(self) -> int:
        """What may be in flight under it at most: a limit that shrank binds once what is held has ended."""
        return max(self.limit, self.held)


class Memory:
    """The demand of each lane at its peak within `MEMORY_S`."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, dict[str, int]]] = deque()

    def peaks(self, now_s: float, demands: Mapping[str, int]) -> dict[str, int]:
        self._seen.append((now_s, dict(demands)))
        while self._seen[0][0] < now_s - MEMORY_S:
            self._seen.popleft()
        return {lane: max(seen.get(lane, 0) for _, seen in self._seen) for lane in demands}


def reserve(lane: str, share: int) -> int:
    """Calls that a lane keeps free beside those in flight, within its share."""
    return max(1, ceil(share * KEPT.get(lane, 0.0)))


def targets(shares: Mapping[str, int], demands: Mapping[str, int]) -> dict[str, int]:
    """The limit of each lane; their sum is that of the shares.

    A lane lends what it neither uses nor keeps in reserve. What is lent goes to lanes whose demand is above their share, by
    weight; what none of them needs stays with its owners.
    """
    given = {lane: min(share, demands.get(lane, 0) + reserve(lane, share)) for lane, share in shares.items()}
    spare = sum(shares.values()) - sum(given.values())
    lacking = {lane: demands.get(lane, 0) - given[lane] for lane, share in shares.items() if demands.get(lane, 0) > share}
    back = {lane: share - given[lane] for lane, share in shares.items()}
    for wanted in (lacking, back):
        for lane, more in divided(spare, wanted, shares).items():
            given[lane] += more
            spare -= more
    return given


def divided(spare: int, wanted: Mapping[str, int], weights: Mapping[str, int]) -> dict[str, int]:
    """Spare calls by weight, nobody more than wanted, as long as there are any."""
    left = {lane: most for lane, most in wanted.items() if most > 0}
    given = dict.fromkeys(left, 0)
    while spare and left:
        dividing, total = spare, sum(weights[lane] for lane in left)
        for lane in sorted(left, key=lambda lane: -weights[lane]):
            more = min(left[lane], spare, max(1, dividing * weights[lane] // total))
            given[lane] += more
            left[lane] -= more
            spare -= more
        left = {lane: most for lane, most in left.items() if most}
    return given


def shrinking(loads: Mapping[str, Load], wanted: Mapping[str, int]) -> dict[str, int]:
    """The limits that come down; always safe."""
    return {lane: wanted[lane] for lane, load in loads.items() if lane in wanted and wanted[lane] < load.limit}


def growing(most: int, loads: Mapping[str, Load], wanted: Mapping[str, int], shares: Mapping[str, int]) -> dict[str, int]:
    """The limits that go up, by no more than what nobody is committed to: lanes below their own share first."""
    free = max(0, most - sum(load.committed for load in loads.values()))
    grown: dict[str, int] = {}
    lanes = [lane for lane in wanted if lane in loads and wanted[lane] > loads[lane].limit]
    for lane in sorted(lanes, key=lambda lane: loads[lane].limit >= shares[lane]):
        load = loads[lane]
        limit = min(wanted[lane], load.committed + free)
        if limit > load.limit:
            grown[lane] = limit
            free -= max(0, limit - load.committed)
    return grown
