"""Bodies of the Messages API as our answers. Pure."""

from typing import Any

from pydantic_core import to_json

from contracts.content import ChatMessageV1, Part, ReasoningPart, ServerToolCallPart, ServerToolCallResponsePart, TextPart, ToolCallPart
from contracts.outcome import FinishReason, UsageV1, WarningV1

from ..protocol import Answer, Failure
from ..reading import count_or_none, text_or_none, tool_call_part
from .blocks import BLOCK
from .convert import CONTAINER
from .errors import failure_in_body

FINISH_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_call",
    "pause_turn": "stop",
    "compaction": "stop",
    "refusal": "content_filter",
}
PAUSED = frozenset({"pause_turn", "compaction"})
SERVER_CALLS = frozenset({"server_tool_use", "mcp_tool_use"})
DIRECT = {"type": "direct"}


def chat_answer(body: Any, output_tool: str | None = None) -> Answer | Failure:
    """The body of a 200 to `POST /v1/messages`. `output_tool`: the tool whose input is the answer."""
    if not isinstance(body, dict):
        return unreadable("is not a JSON object")
    if body.get("type") == "error" or body.get("error"):
        return failure_in_body(body)
    content = body.get("content")
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        return unreadable("has no list 'content'")
    return answer_of(body, tuple(part_of(block, output_tool) for block in content))


def unreadable(why: str) -> Failure:
    """A 200 that says nothing we understand; it may have been billed."""
    return Failure("unavailable", f"the provider's answer {why}; check that base_url ends before /v1/messages")


def answer_of(message: dict[str, Any], parts: tuple[Part, ...]) -> Answer:
    """The answer of a message, whole or put together from its stream."""
    return Answer(
        message=ChatMessageV1(role="assistant", parts=_with_container(parts, message.get("container")) or (TextPart(content=""),)),
        finish_reason=_finish(message.get("stop_reason"), parts),
        usage=usage_of(message.get("usage")),
        response_model=text_or_none(message.get("model")),
        response_id=text_or_none(message.get("id")),
        warnings=tuple(_warnings(message)),
    )


def _finish(reason: Any, parts: tuple[Part, ...]) -> FinishReason:
    """An answer given as a forced tool's input ends with `tool_use` on the wire."""
    known = FINISH_REASONS.get(reason, "stop") if isinstance(reason, str) else "stop"
    return "stop" if known == "tool_call" and not any(isinstance(part, ToolCallPart) for part in parts) else known


def _warnings(message: dict[str, Any]) -> list[WarningV1]:
    """What an answer says beside its content, and no field of ours holds."""
    found = []
    reason, details, usage = message.get("stop_reason"), message.get("stop_details"), message.get("usage")
    if reason in PAUSED:
        found.append(WarningV1(type="paused", message=f"the provider paused the turn ({reason}); send the answer back as it is, and it goes on"))
    if reason == "refusal" and isinstance(details, dict) and (why := text_or_none(details.get("explanation")) or text_or_none(details.get("category"))):
        found.append(WarningV1(type="refusal", message=why))
    iterations = usage.get("iterations") if isinstance(usage, dict) else None
    beside = {str(item.get("type")) for item in iterations if isinstance(item, dict)} - {"message"} if isinstance(iterations, list) else set()
    if beside:
        found.append(WarningV1(type="usage_beside", message=f"tokens of {', '.join(sorted(beside))} are billed beside this usage, at prices of their own"))
    return found


def part_of(block: dict[str, Any], output_tool: str | None = None) -> Part:
    """One content block. What our contract has no part for is the answer of a server tool, and keeps the block."""
    kind = block.get("type")
    if kind == "text":
        return TextPart(content=text_or_none(block.get("text")) or "", provider_data=_given(citations=block.get("citations")))
    if kind == "thinking":
        return ReasoningPart(content=text_or_none(block.get("thinking")) or "", signature=text_or_none(block.get("signature")))
    if kind == "redacted_thinking":
        return ReasoningPart(encrypted=text_or_none(block.get("data")))
    if kind == "tool_use":
        return _called(block, output_tool)
    whole = {BLOCK: block}
    if kind in SERVER_CALLS:
        return ServerToolCallPart(id=text_or_none(block.get("id")), name=str(block.get("name")), arguments=block.get("input"), provider_data=whole)
    return ServerToolCallResponsePart(id=text_or_none(block.get("tool_use_id")), response=block.get("content"), provider_data=whole)


def _called(block: dict[str, Any], output_tool: str | None) -> Part:
    if output_tool is not None and block.get("name") == output_tool:
        given = block.get("input")
        return TextPart(content=given if isinstance(given, str) else to_json(given).decode())
    caller = block.get("caller")
    part = tool_call_part(block.get("id"), 0, block.get("name"), block.get("input"))
    kept = _given(caller=None if caller == DIRECT else caller, toolset_name=block.get("toolset_name"))
    return part.model_copy(update={"provider_data": {**(part.provider_data or {}), **kept}}) if kept else part


def _given(**fields: Any) -> dict[str, Any] | None:
    return {name: value for name, value in fields.items() if value} or None


def _with_container(parts: tuple[Part, ...], container: Any) -> tuple[Part, ...]:
    """The last answer of a server tool keeps the container, for the next turn."""
    name = text_or_none(container.get("id")) if isinstance(container, dict) else None
    at = max((at for at, part in enumerate(parts) if isinstance(part, ServerToolCallResponsePart)), default=None)
    if name is None or at is None:
        return parts
    kept = parts[at].model_copy(update={"provider_data": {**(parts[at].provider_data or {}), CONTAINER: name}})
    return (*parts[:at], kept, *parts[at + 1 :])


def usage_of(usage: Any) -> UsageV1:
    """Tokens as billed: the wire counts cached input beside the rest, we count all of it."""
    if not isinstance(usage, dict):
        return UsageV1()
    plain, read, written = (count_or_none(usage.get(name)) for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"))
    creation, details = usage.get("cache_creation"), usage.get("output_tokens_details")
    return UsageV1(
        input_tokens=None if plain is None else plain + (read or 0) + (written or 0),
        output_tokens=count_or_none(usage.get("output_tokens")),
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=count_or_none(creation.get("ephemeral_1h_input_tokens")) if isinstance(creation, dict) else None,
        reasoning_tokens=count_or_none(details.get("thinking_tokens")) if isinstance(details, dict) else None,
    )
