"""Which places of a prompt are marked, and for how long: at most as many as a request may hold, longer lives before shorter ones. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from catalog.estimates import CHARACTERS_A_TOKEN, MEDIA_TOKENS

SHORT, LONG = "5m", "1h"
At = tuple[int, int, int]
"""Section (SECTIONS), number within it, block: the order in which a prompt is read."""
TOOLS, SYSTEM, MESSAGES, END = range(4)
Block = Mapping[str, Any]


class Rank(IntEnum):
    """Who goes first where there is no room for all."""

    MANUAL = 0
    TOOLS = 1
    SYSTEM = 2
    LONG_PREFIX = 3
    LAST_STABLE_TURN = 4
    FIRST_USER = 5


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place that may be marked."""

    rank: Rank
    at: At


def chosen(candidates: Iterable[Candidate], given: Mapping[At, Sequence[str]], room: int, ttl: str) -> dict[At, str]:
    """The places to mark and their ttl. `given`: the ttls of markers that stand in the request already; they count, and are left alone."""
    free = room - sum(map(len, given.values()))
    picked: set[At] = set()
    for candidate in sorted(candidates, key=lambda candidate: (candidate.rank, *(-number for number in candidate.at))):
        if len(picked) >= free:
            break
        if candidate.at not in given:
            picked.add(candidate.at)
    return {at: _life(at, given, ttl) for at in picked}


def _life(at: At, given: Mapping[At, Sequence[str]], ttl: str) -> str:
    """A longer life may not follow a shorter one. What stands before a marker of an hour is written for an hour in any case."""
    if ttl == LONG and any(SHORT in lives for other, lives in given.items() if other < at):
        return SHORT
    if ttl == SHORT and any(LONG in lives for other, lives in given.items() if other > at):
        return LONG
    return ttl


@dataclass(frozen=True, slots=True)
class Turn:
    """A message of the wire: its blocks, and which of them may carry a marker."""

    role: str
    blocks: Sequence[Block]


def in_messages(turns: Sequence[Turn], before: int, minimum: int, markable: Callable[[Block], bool], *, first_user: bool) -> Iterable[Candidate]:
    """Candidates among the turns that will be the same next time: all but the newest one. `before`: tokens of tools and system.

    A long prefix ends wherever a minimum's worth of tokens has come together since the last place.
    """
    stable = len(turns) if first_user and len(turns) == 1 else len(turns) - 1
    pending, last, first = before if before < minimum else 0, None, None
    for number in range(stable):
        turn = turns[number]
        for index, block in enumerate(turn.blocks):
            pending += tokens(block)
            if not markable(block):
                continue
            last = (MESSAGES, number, index)
            if pending >= minimum:
                yield Candidate(Rank.LONG_PREFIX, last)
                pending = 0
        if first is None and turn.role == "user":
            first = last
    if last is not None and stable < len(turns):
        yield Candidate(Rank.LAST_STABLE_TURN, last)
    if first is not None:
        yield Candidate(Rank.FIRST_USER, first)


def tokens(value: object) -> int:
    """A guess by the number of characters; media count flat."""
    return characters(value) // CHARACTERS_A_TOKEN


def characters(value: object) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        if "source" in value:
            return MEDIA_TOKENS * CHARACTERS_A_TOKEN
        return sum(len(name) + characters(part) for name, part in value.items())
    if isinstance(value, list | tuple):
        return sum(map(characters, value))
    return 4
