"""The turns of a conversation as input items."""

from collections.abc import Callable, Iterable
from typing import Any

from pydantic_core import to_json

from contracts.content import (
    BlobPart,
    ChatMessageV1,
    Part,
    ReasoningPart,
    ServerToolCallPart,
    ServerToolCallResponsePart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
)

from ..conversion import Unconvertible
from ..protocol import Body
from .blocks import block_of, output_of
from .items import BLOCK, BY, CALLS, ITEM, RESULT
from .quirks import Wording

OUTPUTS = ("function_call_output", "custom_tool_call_output")
SPOKEN = frozenset({"message", "reasoning", *OUTPUTS, *CALLS})
"""Items of which a part keeps the fields beside its content; any other item is kept whole."""
HELD = frozenset({"encrypted_content", "content", "signature"})
"""What a reasoning item can be known by where the server keeps nothing; servers other than OpenAI's give plain text, or OpenRouter a signature."""


def input_of(messages: Iterable[ChatMessageV1], conversion: Wording) -> list[Body]:
    """All turns. A custom tool's answer is told from a function's by its call."""
    turns = [(message, message.all_parts()) for message in messages]
    custom = {part.id for _, parts in turns for part in parts if isinstance(part, ToolCallPart) and (part.provider_data or {}).get("custom")}
    items: list[Body] = []
    for index, (message, parts) in enumerate(turns):
        if message.role == "assistant":
            items += _answered(parts, f"messages.{index}", conversion)
        else:
            items += _asked(message.role, parts, f"messages.{index}", custom, conversion)
    return items


def _asked(role: str, parts: tuple[Part, ...], where: str, custom: set[str], conversion: Wording) -> list[Body]:
    """A turn of the caller's: tool answers first, then what is said, in messages around items that are sent as they are."""
    placed = [(f"{where}.parts.{at}", part) for at, part in enumerate(parts)]
    items = [_tool_answer(part, at, custom, conversion) for at, part in placed if isinstance(part, ToolCallResponsePart)]
    blocks: list[Body] = []
    for at, part in placed:
        if isinstance(part, ToolCallResponsePart):
            continue
        if (whole := _whole(part, conversion)) is not None:
            items += [*_message(role, blocks), whole]
            blocks = []
        elif role == "tool":
            raise Unconvertible(f"{at}: a tool turn holds parts of type 'tool_call_response' with the id of the call; put other parts into a user turn")
        elif (block := block_of(part, at, conversion)) is not None:
            blocks.append(block)
    return items + _message(role, blocks)


def _message(role: str, blocks: list[Body]) -> list[Body]:
    """A lone plain text as a string, which every server takes."""
    if not blocks:
        return []
    return [{"role": role, "content": blocks[0]["text"] if len(blocks) == 1 and blocks[0].keys() == {"type", "text"} else blocks}]


def _tool_answer(part: ToolCallResponsePart, where: str, custom: set[str], conversion: Wording) -> Body:
    if part.is_error:
        conversion.dropped("tool_call_response.is_error")
    kind = OUTPUTS[1] if part.id in custom else OUTPUTS[0]
    return {"type": kind, **(_own(part, conversion, *OUTPUTS) or {}), "call_id": part.id, "output": output_of(part.response, where, conversion)}


def _answered(parts: tuple[Part, ...], where: str, conversion: Wording) -> list[Body]:
    """An assistant turn, item by item as it came."""
    items: list[Body] = []
    for at, part in enumerate(parts):
        place = (part.provider_data or {}).get(RESULT)
        if (whole := _whole(part, conversion)) is not None:
            items.append(whole)
        elif isinstance(place, dict):
            _put_back(part, place, items, conversion)
        elif (add := ADDED.get(type(part))) is not None:
            add(part, items, conversion)
        elif isinstance(part, ServerToolCallPart | ServerToolCallResponsePart):
            conversion.dropped(f"part of type {part.type!r} of another provider")
        else:
            raise Unconvertible(f"{where}.parts.{at}: {conversion.kind.type} takes no {part.type!r} part in an assistant turn; put it into a user turn")
    return _recalled(items, conversion)


def _own(part: Part, conversion: Wording, *kinds: str) -> Body | None:
    """What `provider_data` keeps of the item of one of these types that the part came from; another provider's ids mean nothing here."""
    own = (part.provider_data or {}).get(ITEM)
    if not isinstance(own, dict) or own.get("type") not in kinds:
        return None
    return {name: value for name, value in own.items() if name != "id"} if _foreign(part, conversion) else own


def _foreign(part: Part, conversion: Wording) -> bool:
    return (part.provider_data or {}).get(BY) not in (None, conversion.kind.type)


def _whole(part: Part, conversion: Wording) -> Body | None:
    own = (part.provider_data or {}).get(ITEM)
    known = isinstance(own, dict) and isinstance(own.get("type"), str) and own["type"] not in SPOKEN and not _foreign(part, conversion)
    return dict(own) if isinstance(own, dict) and known else None


def _put_back(part: Part, place: Body, items: list[Body], conversion: Wording) -> None:
    """What a tool of the provider's gave goes back into the item that it was taken from."""
    call = next((item for item in reversed(items) if item.get("id") == place.get("id")), None)
    value = part.content if isinstance(part, BlobPart) else getattr(part, "response", None)
    if call is None or not isinstance(place.get("field"), str):
        conversion.dropped(f"part of type {part.type!r} without its server_tool_call")
    else:
        call[place["field"]] = value


def _said(part: TextPart, items: list[Body], conversion: Wording) -> None:
    """A text with the id of its message goes back as it came; any other is a plain message."""
    own, kept = _own(part, conversion, "message") or {}, part.provider_data or {}
    if "id" not in own:
        if part.content:
            items.append(_plain(own, part.content))
        return
    if isinstance(whole := kept.get(BLOCK), dict):
        block: Body = whole
    elif kept.get("refusal"):
        block = {"type": "refusal", "refusal": part.content}
    else:
        logprobs = {"logprobs": kept["logprobs"]} if "logprobs" in kept else {}
        block = {"type": "output_text", "text": part.content, "annotations": kept.get("annotations", []), **logprobs}
    message = {"status": "completed", **own, "role": "assistant"}
    if items and {**items[-1], "content": None} == {**message, "content": None}:
        items[-1]["content"].append(block)
    else:
        items.append({**message, "content": [block]})


def _plain(own: Body, text: str) -> Body:
    return {"role": "assistant", "content": text, **{name: value for name, value in own.items() if name not in ("type", "id", "status", "role", "content")}}


def _thought(part: ReasoningPart, items: list[Body], conversion: Wording) -> None:
    """Parts of one item in a row are one item again; only the first of them holds what is encrypted."""
    if _own(part, conversion, "message") is not None:
        _said(TextPart(content=part.content or "", provider_data=part.provider_data), items, conversion)
        return
    own = _own(part, conversion, "reasoning")
    if own is None or _foreign(part, conversion):
        conversion.dropped("part of type 'reasoning' of another provider")
        return
    held = {"summary", "content", "encrypted_content"}
    last = items[-1] if items else {}
    if part.encrypted is not None or {name: value for name, value in last.items() if name not in held} != own:
        sealed = {"encrypted_content": part.encrypted} if part.encrypted is not None else {}
        last = {**own, "summary": [], **sealed}
        items.append(last)
    if part.content is not None and (part.provider_data or {}).get("raw"):
        last.setdefault("content", []).append({"type": "reasoning_text", "text": part.content})
    elif part.content is not None:
        last["summary"].append({"type": "summary_text", "text": part.content})


def _call(part: ToolCallPart, items: list[Body], conversion: Wording) -> None:
    kept, raw = part.provider_data or {}, (part.provider_data or {}).get("raw_arguments")
    kind, field = ("custom_tool_call", "input") if kept.get("custom") else ("function_call", "arguments")
    written = raw if isinstance(raw, str) and not part.arguments else to_json(part.arguments).decode()
    items.append({**(_own(part, conversion, kind) or {}), "type": kind, "call_id": part.id, "name": part.name, field: written})


ADDED: dict[type, Callable[[Any, list[Body], Wording], None]] = {TextPart: _said, ReasoningPart: _thought, ToolCallPart: _call}


def _recalled(items: list[Body], conversion: Wording) -> list[Body]:
    """The turn as a server that keeps nothing takes it: without reasoning that it cannot know or use, and without ids that ask for what is not there."""
    if not conversion.stateless and conversion.traits.takes_reasoning:
        return items
    held = HELD if conversion.traits.takes_reasoning else frozenset()
    known = [item for item in items if item.get("type") != "reasoning" or item.keys() & held]
    if len(known) < len(items):
        conversion.dropped("part of type 'reasoning' without its encrypted content" if held else "part of type 'reasoning' with this model")
        known = [nameless for item in known for nameless in _nameless(item)]
    return [_freed(item, known[at + 1 :]) for at, item in enumerate(known)]


def _nameless(item: Body) -> list[Body]:
    """With its id, an item asks for the reasoning that led to it."""
    if item.get("type") == "message":
        return [_plain(item, block.get("text") or block.get("refusal") or "") for block in item["content"]]
    return [{name: value for name, value in item.items() if name != "id"} if item.get("type") in CALLS else item]


def _freed(item: Body, after: list[Body]) -> Body:
    """With its id, encrypted reasoning asks for the very item that it led to; without, it is taken before any."""
    following = next((other for other in after if other.get("type") != "reasoning"), {})
    free = item.get("type") == "reasoning" and "encrypted_content" in item and "id" not in following
    return {name: value for name, value in item.items() if name != "id"} if free else item
