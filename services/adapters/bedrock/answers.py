"""Converse bodies as our answers. Pure."""

from typing import Any

from pydantic_core import to_json

from contracts.content import ChatMessageV1, Part, ReasoningPart, ServerToolCallPart, ServerToolCallResponsePart, TextPart, ToolCallPart
from contracts.outcome import FinishReason, UsageV1

from ..protocol import Answer, Failure
from ..reading import count_or_none, text_or_none, tool_call_part
from .blocks import BLOCK

FINISH_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_call",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "malformed_model_output": "error",
    "malformed_tool_use": "error",
}
SERVER_CALL = "server_tool_use"


def converse_answer(body: Any, output_tool: str | None = None) -> Answer | Failure:
    """The body of a 200 to `POST /model/{id}/converse`. `output_tool`: the tool whose input is the answer."""
    message = (body.get("output") or {}).get("message") if isinstance(body, dict) and isinstance(body.get("output"), dict | None) else None
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        return Failure("unavailable", "the provider's answer has no list 'output.message.content'; check that base_url ends before /model")
    return answer_of(tuple(part_of(block, output_tool) for block in content), body.get("stopReason"), body.get("usage"))


def answer_of(parts: tuple[Part, ...], reason: Any, usage: Any) -> Answer:
    """The answer of a message, whole or put together from its stream."""
    return Answer(
        message=ChatMessageV1(role="assistant", parts=parts or (TextPart(content=""),)),
        finish_reason=_finish(reason, parts),
        usage=usage_of(usage),
    )


def _finish(reason: Any, parts: tuple[Part, ...]) -> FinishReason:
    """An answer given as a forced tool's input ends with `tool_use` on the wire."""
    known = FINISH_REASONS.get(reason, "stop") if isinstance(reason, str) else "stop"
    return "stop" if known == "tool_call" and not any(isinstance(part, ToolCallPart) for part in parts) else known


def part_of(block: dict[str, Any], output_tool: str | None = None) -> Part:
    """One content block. What our contract has no part for keeps the block; a text with citations does, too."""
    if isinstance(text := block.get("text"), str):
        return TextPart(content=text)
    if isinstance(reasoning := block.get("reasoningContent"), dict):
        return _reasoning(reasoning)
    if isinstance(cited := block.get("citationsContent"), dict):
        return TextPart(content=_texts(cited.get("content")), provider_data={BLOCK: block})
    if isinstance(call := block.get("toolUse"), dict):
        return _called(call, block, output_tool)
    inner = next((value for value in block.values() if isinstance(value, dict)), {})
    return ServerToolCallResponsePart(id=text_or_none(inner.get("toolUseId")), response=inner.get("content"), provider_data={BLOCK: block})


def _reasoning(reasoning: dict[str, Any]) -> Part:
    said = reasoning.get("reasoningText")
    if isinstance(said, dict):
        return ReasoningPart(content=text_or_none(said.get("text")) or "", signature=text_or_none(said.get("signature")))
    return ReasoningPart(encrypted=text_or_none(reasoning.get("redactedContent")))


def _texts(content: Any) -> str:
    items = content if isinstance(content, list) else []
    return "".join(text_or_none(item.get("text")) or "" for item in items if isinstance(item, dict))


def _called(call: dict[str, Any], block: dict[str, Any], output_tool: str | None) -> Part:
    if call.get("type") == SERVER_CALL:
        arguments = call.get("input")
        return ServerToolCallPart(id=text_or_none(call.get("toolUseId")), name=str(call.get("name")), arguments=arguments, provider_data={BLOCK: block})
    if output_tool is not None and call.get("name") == output_tool:
        given = call.get("input")
        return TextPart(content=given if isinstance(given, str) else to_json(given).decode())
    return tool_call_part(call.get("toolUseId"), 0, call.get("name"), call.get("input"))


def usage_of(usage: Any) -> UsageV1:
    """Tokens as billed: the wire counts cached input beside the rest, we count all of it."""
    if not isinstance(usage, dict):
        return UsageV1()
    plain, read, written = (count_or_none(usage.get(name)) for name in ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens"))
    details = usage.get("cacheDetails")
    return UsageV1(
        input_tokens=None if plain is None else plain + (read or 0) + (written or 0),
        output_tokens=count_or_none(usage.get("outputTokens")),
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=_an_hour(details) if isinstance(details, list) else None,
    )


def _an_hour(details: list[Any]) -> int | None:
    counts = [count_or_none(item.get("inputTokens")) for item in details if isinstance(item, dict) and item.get("ttl") == "1h"]
    return None if None in counts else sum(count for count in counts if count is not None)
