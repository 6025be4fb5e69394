"""The turns of a conversation as chat-completions messages."""

from collections.abc import Iterator
from typing import Any

from pydantic_core import to_json

from contracts.content import (
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
from .beside import thought_in
from .blocks import block_of, text_block
from .quirks import Wording, marks

Placed = tuple[int, Part]
"""A part and its place in the turn."""


def messages_of(message: ChatMessageV1, index: int, conversion: Wording) -> Iterator[Body]:
    """One turn as wire messages: each tool's answer is a message of its own there, and comes first."""
    parts = message.all_parts()
    responses = [part for part in parts if isinstance(part, ToolCallResponsePart)]
    for response in responses:
        yield {**_tool_message(response, conversion), **_beside((response,), conversion)}
    rest: list[Placed] = [(at, part) for at, part in enumerate(parts) if not isinstance(part, ToolCallResponsePart)]
    if not rest and (responses or not parts):
        return
    if message.role == "assistant":
        yield {**_assistant(rest, index, conversion), **_beside(parts, conversion)}
    elif message.role == "tool":
        raise Unconvertible(f"messages.{index}: a tool turn holds parts of type 'tool_call_response' with the id of the call; put other parts into a user turn")
    else:
        yield {"role": message.role, "content": _content(rest, index, message.role, conversion), **_beside(parts, conversion)}


def _beside(parts: tuple[Part, ...], conversion: Wording) -> Body:
    """What stands in a message beside its content, where this provider knows it: `provider_data.message` of its parts."""
    wire: Body = {}
    for part in parts:
        given = (part.provider_data or {}).get("message")
        for name, value in given.items() if isinstance(given, dict) else ():
            if name in conversion.quirks.message_fields:
                wire[name] = value
            else:
                conversion.dropped(f"provider_data.message.{name}")
    return wire


def _tool_message(part: ToolCallResponsePart, conversion: Wording) -> Body:
    if part.is_error:
        conversion.dropped("tool_call_response.is_error")
    blocks = (part.provider_data or {}).get("content")
    text = part.response if isinstance(part.response, str) else to_json(part.response).decode()
    content: Any = blocks if isinstance(blocks, list) else text
    if not isinstance(blocks, list) and (beside := marks(part, conversion)):
        content = [{"type": "text", "text": text, **beside}]
    return {"role": "tool", "tool_call_id": part.id, "content": content}


def _assistant(parts: list[Placed], index: int, conversion: Wording) -> Body:
    texts: list[TextPart] = []
    calls: list[Body] = []
    reasoning: list[ReasoningPart] = []
    for at, part in parts:
        if isinstance(part, TextPart):
            texts.append(part)
        elif isinstance(part, ToolCallPart):
            calls.append(_call(part, conversion))
        elif isinstance(part, ReasoningPart):
            reasoning.append(part)
        elif isinstance(part, ServerToolCallPart | ServerToolCallResponsePart):
            conversion.dropped(f"part of type {part.type!r}")
        else:
            raise Unconvertible(
                f"messages.{index}.parts.{at}: {conversion.kind.type} takes no {part.type!r} part in an assistant turn; put it into a user turn"
            )
    wire: Body = {"role": "assistant", "content": _said(texts, conversion) if texts or not calls else None, **_voice(texts)}
    _reason(wire, reasoning, conversion)
    return {**wire, "tool_calls": calls} if calls else wire


def _said(texts: list[TextPart], conversion: Wording) -> str | list[Body]:
    """The text of an assistant turn; as blocks only where one of them is marked."""
    blocks = [text_block(part, conversion) for part in texts]
    return blocks if any(len(block) > 2 for block in blocks) else "".join(part.content for part in texts)


def _voice(texts: list[TextPart]) -> Body:
    """An answer that was spoken is named by its id."""
    spoken = next((audio for part in texts if isinstance(audio := (part.provider_data or {}).get("audio"), dict) and audio.get("id")), None)
    return {"audio": {"id": spoken["id"]}} if spoken is not None else {}


def _reason(wire: Body, parts: list[ReasoningPart], conversion: Wording) -> None:
    """What the model had thought, in the provider's way; else it is left out."""
    if not parts:
        return
    quirks, field = conversion.quirks, conversion.kind.reasoning_field
    details = [detail for part in parts for detail in _details(part)]
    thought = "".join(part.content or "" for part in parts)
    if quirks.reasoning_details and details:
        wire["reasoning_details"] = details
        if field and thought and thought != thought_in(details):
            wire[field] = thought
    elif quirks.thinking_blocks and thought:
        said = wire["content"]
        texts = said if isinstance(said, list) else [{"type": "text", "text": said}] if said else []
        wire["content"] = [{"type": "thinking", "thinking": [{"type": "text", "text": thought}]}, *texts]
    elif field and thought:
        wire[field] = thought
    else:
        conversion.dropped("part of type 'reasoning'")


def _call(part: ToolCallPart, conversion: Wording) -> Body:
    kept = part.provider_data or {}
    if kept.get("custom"):
        return {"id": part.id, "type": "custom", "custom": {"name": part.name, "input": _arguments(part)}}
    extra = {"extra_content": kept["extra_content"]} if conversion.quirks.extra_content and "extra_content" in kept else {}
    return {"id": part.id, "type": "function", "function": {"name": part.name, "arguments": _arguments(part)}, **extra}


def _details(part: ReasoningPart) -> list[Any]:
    details = (part.provider_data or {}).get("reasoning_details")
    return details if isinstance(details, list) else []


def _arguments(part: ToolCallPart) -> str:
    """The arguments as the model wrote them, where they could not be decoded; else as JSON."""
    raw = (part.provider_data or {}).get("raw_arguments")
    return raw if isinstance(raw, str) and not part.arguments else to_json(part.arguments).decode()


def _content(parts: list[Placed], index: int, role: str, conversion: Wording) -> str | list[Body]:
    """A lone text as a string, which every server takes; anything else as content blocks."""
    blocks = [block for at, part in parts if (block := block_of(part, f"messages.{index}.parts.{at}", conversion)) is not None]
    plain = all(block.keys() == {"type", "text"} for block in blocks)
    if plain and len(blocks) == 1 and len(parts) == 1:
        return str(blocks[0]["text"])
    if plain and role == "system":
        return "\n\n".join(str(block["text"]) for block in blocks)
    return blocks
