"""Anthropic's `cache_control`: https://platform.claude.com/docs/en/build-with-claude/prompt-caching. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from catalog.capabilities import Caching
from contracts.config import PromptCacheV1

from ..protocol import Body
from .manual import Manual
from .placing import END, MESSAGES, SHORT, SYSTEM, TOOLS, At, Block, Candidate, Rank, Turn, chosen, in_messages, tokens

FIELD = "cache_control"
MARKABLE = frozenset({"text", "image", "document", "search_result", "tool_use", "tool_result"})
"""Blocks that take a marker; thinking does not."""


def mark(caching: Caching) -> Mapping[str, Any] | None:
    return {FIELD: {}} if caching.marker == "explicit" else None


def marked(body: Body, model: str, caching: Caching, wanted: PromptCacheV1) -> Body:
    """The body with markers by rule; the given one is left as it is."""
    if caching.marker != "explicit":
        return body
    given: dict[At, list[str]] = {}
    manual: set[At] = set()
    for at, block in _places(body):
        if isinstance(block.get(FIELD), Manual):
            manual.add(at)
        elif lives := list(_lives(block)):
            given[at] = lives
    candidates = [Candidate(Rank.MANUAL, at) for at in manual]
    if wanted.breakpoints == "auto":
        candidates += _candidates(body, caching, wanted)
    places = chosen(candidates, given, caching.max_breakpoints, wanted.ttl)
    return _rebuilt(body, {at: {"type": "ephemeral", "ttl": places[at]} if at in places else None for at in manual | places.keys()})


def _places(body: Body) -> Iterator[tuple[At, Block]]:
    """All that may hold a marker, in the order of the prompt; the automatic one at the top stands for the end."""
    for number, tool in enumerate(body.get("tools", ())):
        yield (TOOLS, number, 0), tool
    for number, block in enumerate(_blocks(body.get("system", ()))):
        yield (SYSTEM, number, 0), block
    for number, message in enumerate(body["messages"]):
        for index, block in enumerate(_blocks(message["content"])):
            yield (MESSAGES, number, index), block
    if body.get(FIELD) is not None:
        yield (END, 0, 0), {FIELD: body[FIELD]}


def _blocks(content: str | list[Body]) -> list[Body]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _lives(block: Block) -> Iterator[str]:
    """The ttls of the markers in a block, and in what is in it."""
    if isinstance(mark := block.get(FIELD), Mapping):
        yield mark.get("ttl", SHORT)
    content = block.get("content")
    for inner in content if isinstance(content, list) else ():
        yield from _lives(inner)


def _candidates(body: Body, caching: Caching, wanted: PromptCacheV1) -> Iterator[Candidate]:
    tools, system = body.get("tools", ()), _blocks(body.get("system", ()))
    callable_now = [number for number, tool in enumerate(tools) if not tool.get("defer_loading")]
    if callable_now:
        yield Candidate(Rank.TOOLS, (TOOLS, callable_now[-1], 0))
    if texts := [number for number, block in enumerate(system) if _markable(block)]:
        yield Candidate(Rank.SYSTEM, (SYSTEM, texts[-1], 0))
    turns = [Turn(message["role"], _blocks(message["content"])) for message in body["messages"]]
    yield from in_messages(turns, tokens(tools) + tokens(system), caching.minimum_tokens, _markable, first_user=wanted.cache_first_user)


def _markable(block: Block) -> bool:
    return block["type"] in MARKABLE and (block["type"] != "text" or bool(block["text"].strip()))


def _rebuilt(body: Body, marks: Mapping[At, dict[str, Any] | None]) -> Body:
    """A copy of what changes; None takes a marker away."""
    if not marks:
        return body
    changed = dict(body)
    for (section, number, index), mark in marks.items():
        if section == TOOLS:
            changed["tools"] = _with(changed["tools"], number, mark)
        elif section == SYSTEM:
            changed["system"] = _with(_blocks(changed["system"]), number, mark)
        else:
            messages = list(changed["messages"])
            messages[number] = {**messages[number], "content": _with(_blocks(messages[number]["content"]), index, mark)}
            changed["messages"] = messages
    return changed


def _with(blocks: list[Body], at: int, mark: dict[str, Any] | None) -> list[Body]:
    block = {name: value for name, value in blocks[at].items() if name != FIELD}
    return [*blocks[:at], block if mark is None else {**block, FIELD: mark}, *blocks[at + 1 :]]
