"""Bedrock's `cachePoint` blocks: https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from catalog.capabilities import Caching
from contracts.config import PromptCacheV1

from ..protocol import Body
from .manual import Manual
from .placing import MESSAGES, SHORT, SYSTEM, TOOLS, At, Block, Candidate, Rank, Turn, chosen, in_messages, tokens

FIELD = "cachePoint"
MARKABLE = ("image", "toolUse", "toolResult")
"""Blocks that a point may follow, beside texts; reasoning is none."""


def marker(ttl: str, caching: Caching) -> dict[str, Any]:
    """A ttl is refused by models that know but one."""
    return {"type": "default", "ttl": ttl} if len(caching.ttls) > 1 else {"type": "default"}


def mark(caching: Caching) -> Mapping[str, Any] | None:
    return {FIELD: {}} if caching.marker == "explicit" else None


def marked(body: Body, model: str, caching: Caching, wanted: PromptCacheV1) -> Body:
    """The body with cache points by rule; the given one is left as it is."""
    if caching.marker != "explicit":
        return body
    given: dict[At, list[str]] = {}
    manual: set[At] = set()
    for section, number, blocks in _lists(body):
        for index, block in enumerate(blocks):
            if isinstance(block.get(FIELD), Manual):
                manual.add((section, number, index))
            elif FIELD in block:
                given[section, number, index] = [block[FIELD].get("ttl", SHORT)]
    candidates = [Candidate(Rank.MANUAL, at) for at in manual]
    if wanted.breakpoints == "auto":
        candidates += _candidates(body, caching, wanted, given.keys() | manual)
    ttl = wanted.ttl if wanted.ttl in caching.ttls else SHORT
    places = chosen(candidates, given, caching.max_breakpoints, ttl)
    return _rebuilt(body, manual, {at: marker(life, caching) for at, life in places.items()})


def _lists(body: Body) -> Iterator[tuple[int, int, list[Body]]]:
    """The lists of blocks in which points may stand, in the order of the prompt."""
    yield TOOLS, 0, body.get("toolConfig", {}).get("tools", [])
    yield SYSTEM, 0, body.get("system", [])
    for number, message in enumerate(body["messages"]):
        yield MESSAGES, number, message["content"]


def _candidates(body: Body, caching: Caching, wanted: PromptCacheV1, points: Iterable[At]) -> Iterator[Candidate]:
    """A candidate is the block behind which a point would go; where one stands there already, that one is meant."""
    taken, found = set(points), []
    tools, system = body.get("toolConfig", {}).get("tools", []), body.get("system", [])
    if "tools" in caching.places and tools:
        found.append(Candidate(Rank.TOOLS, (TOOLS, 0, len(tools) - 1)))
    if "system" in caching.places and (texts := [number for number, block in enumerate(system) if _markable(block)]):
        found.append(Candidate(Rank.SYSTEM, (SYSTEM, 0, texts[-1])))
    if "messages" in caching.places:
        turns = [Turn(message["role"], message["content"]) for message in body["messages"]]
        found += in_messages(turns, tokens(tools) + tokens(system), caching.minimum_tokens, _markable, first_user=wanted.cache_first_user)
    for candidate in found:
        section, number, index = candidate.at
        if taken.isdisjoint(((section, number, index), (section, number, index + 1))):
            yield candidate


def _markable(block: Block) -> bool:
    if "text" in block:
        return bool(block["text"].strip())
    return any(name in block for name in MARKABLE)


def _rebuilt(body: Body, manual: set[At], places: Mapping[At, dict[str, Any]]) -> Body:
    """A copy of what changes: points by hand are set anew or taken out, others follow their blocks."""
    touched = {at[:2] for at in manual | places.keys()}
    if not touched:
        return body
    lists = {(section, number): blocks for section, number, blocks in _lists(body)}
    new = {at: list(_pointed(lists[at], at, manual, places)) for at in touched}
    changed = dict(body)
    for (section, number), blocks in new.items():
        if section == TOOLS:
            changed["toolConfig"] = {**body["toolConfig"], "tools": blocks}
        elif section == SYSTEM:
            changed["system"] = blocks
        else:
            changed["messages"] = [{**message, "content": blocks} if at == number else message for at, message in enumerate(changed["messages"])]
    return changed


def _pointed(blocks: list[Body], where: tuple[int, int], manual: set[At], places: Mapping[At, dict[str, Any]]) -> Iterator[Body]:
    for index, block in enumerate(blocks):
        at = (*where, index)
        if at not in manual:
            yield block
        if at in places:
            yield {FIELD: places[at]}
