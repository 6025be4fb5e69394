"""Our messages as Cohere's."""

from collections.abc import Iterable, Iterator
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
    UriPart,
)

from ..conversion import Conversion, Unconvertible
from ..protocol import Body
from ..results import parts_in

PLAN = "tool_plan"
"""In provider_data: the reasoning is Cohere's plan of the calls beside it."""
CITATIONS = "citations"
"""In provider_data: what the text cites, as Cohere told it."""
BLOCKS = ("text", "document")


def turns_of(messages: Iterable[ChatMessageV1], conversion: Conversion) -> list[Body]:
    """All messages in their order. Raises Unconvertible."""
    return [wire for index, message in enumerate(messages) for wire in _turn(message, index, conversion)]


def _turn(message: ChatMessageV1, index: int, conversion: Conversion) -> Iterator[Body]:
    """One message as Cohere's: each tool's answer is one of its own there, and comes first."""
    parts = message.all_parts()
    answers = [part for part in parts if isinstance(part, ToolCallResponsePart)]
    for answer in answers:
        yield _answer(answer, conversion)
    rest: list[tuple[int, Part]] = [(at, part) for at, part in enumerate(parts) if not isinstance(part, ToolCallResponsePart)]
    if not rest and (answers or not parts):
        return
    if message.role == "assistant":
        yield _said(rest, index, conversion)
    elif message.role == "tool":
        raise Unconvertible(f"messages.{index}: a tool turn holds parts of type 'tool_call_response' with the id of the call; put other parts into a user turn")
    else:
        yield {"role": message.role, "content": _content(rest, index, message.role, conversion)}


def _answer(part: ToolCallResponsePart, conversion: Conversion) -> Body:
    """Text and documents as they are; anything else as JSON."""
    if part.is_error:
        conversion.dropped("tool_call_response.is_error")
    parts = parts_in(part.response)
    texts = [one.content for one in parts if isinstance(one, TextPart)]
    content = [{"type": "text", "text": text} for text in texts] if texts and len(texts) == len(parts) else part.response
    if not isinstance(content, str) and not _is_blocks(content):
        content = to_json(content).decode()
    return {"role": "tool", "tool_call_id": part.id, "content": content}


def _is_blocks(content: Any) -> bool:
    return isinstance(content, list) and bool(content) and all(isinstance(one, dict) and one.get("type") in BLOCKS and one["type"] in one for one in content)


def _said(parts: list[tuple[int, Part]], index: int, conversion: Conversion) -> Body:
    """The model's own turn: its plan, its content blocks, its calls, its citations."""
    blocks: list[Body] = []
    calls: list[Body] = []
    plan: list[str] = []
    citations: list[Any] = []
    for at, part in parts:
        kept = part.provider_data or {}
        citations += kept.get(CITATIONS, ())
        if isinstance(part, TextPart):
            blocks.append({"type": "text", "text": part.content})
        elif isinstance(part, ToolCallPart):
            calls.append({"id": part.id, "type": "function", "function": {"name": part.name, "arguments": _arguments(part)}})
        elif isinstance(part, ReasoningPart) and part.content is not None and kept.get(PLAN):
            plan.append(part.content)
        elif isinstance(part, ReasoningPart) and part.content is not None and part.encrypted is None:
            blocks.append({"type": "thinking", "thinking": part.content})
        elif isinstance(part, ReasoningPart | ServerToolCallPart | ServerToolCallResponsePart):
            conversion.dropped(f"part of type {part.type!r}")
        else:
            raise Unconvertible(
                f"messages.{index}.parts.{at}: {conversion.kind.type} takes no {part.type!r} part in an assistant turn; put it into a user turn"
            )
    wire: Body = {"content": blocks, PLAN: "".join(plan), "tool_calls": calls, CITATIONS: citations}
    held = {name: value for name, value in wire.items() if value}
    return {"role": "assistant", **(held or {"content": ""})}


def _arguments(part: ToolCallPart) -> str:
    """The arguments as the model wrote them, where they could not be decoded; else as JSON."""
    raw = (part.provider_data or {}).get("raw_arguments")
    return raw if isinstance(raw, str) and not part.arguments else to_json(part.arguments).decode()


def _content(parts: list[tuple[int, Part]], index: int, role: str, conversion: Conversion) -> str | list[Body]:
    """A lone text as a string, anything else as content blocks."""
    if len(parts) == 1 and isinstance(parts[0][1], TextPart):
        return parts[0][1].content
    return [block for at, part in parts if (block := _block(part, f"messages.{index}.parts.{at}", role, conversion)) is not None]


def _block(part: Part, where: str, role: str, conversion: Conversion) -> Body | None:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.content}
    if role == "user" and isinstance(part, BlobPart | UriPart) and part.modality == "image":
        url = part.uri if isinstance(part, UriPart) else f"data:{part.mime_type};base64,{part.content}"
        detail = (part.provider_data or {}).get("detail")
        return {"type": "image_url", "image_url": {"url": url, **({"detail": detail} if isinstance(detail, str) else {})}}
    if isinstance(part, ReasoningPart | ServerToolCallPart | ServerToolCallResponsePart):
        conversion.dropped(f"part of type {part.type!r}")
        return None
    what = part.modality if isinstance(part, BlobPart | UriPart) else f"{part.type!r} part"
    raise Unconvertible(f"{where}: {conversion.kind.type} takes no {what} in a {role} turn; send its text, or ask another provider")
