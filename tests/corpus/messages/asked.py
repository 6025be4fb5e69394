"""Whether a Messages request asks for the same as the recorded one, and whether the SDK's types accept it."""

from typing import Any

from anthropic.types.beta.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from pydantic import TypeAdapter

from tests.corpus.bodies import differ, refusal

ALLOWED = {
    "null, empty or absent": "a field that is null, and a list or a text at the top that is empty, ask for nothing",
    "a text as a string": "API reference: a string is short for an array of one text block; so it is in system and in tool results",
    "turns in a row": "API reference: consecutive turns of one role are combined into one",
    "stream: false": "the default",
    "is_error: false": "the default",
    "type: custom": "the default of a tool",
    "order of tools": "ours come before those of provider_options; nothing depends on it but the cache, which the caller orders",
    "empty texts": "the API refuses them",
    "disable_parallel_tool_use: false": "the default",
}
"""What may differ from a recorded request, and why."""
STREAMED, WHOLE = TypeAdapter(MessageCreateParamsStreaming), TypeAdapter(MessageCreateParamsNonStreaming)
DEFAULTS = {"stream": False, "is_error": False, "type": "custom", "disable_parallel_tool_use": False}


def differences(recorded_request: Any, sent_request: Any) -> list[str]:
    return list(differ("", _same(recorded_request), _same(sent_request)))


def accepted(sent_request: Any) -> str | None:
    """The body as the SDK's `create` takes it; on Vertex AI the model stands in the path."""
    body = {"model": "in the path", **{name: value for name, value in sent_request.items() if name != "anthropic_version"}}
    return refusal(STREAMED if body.get("stream") else WHOLE, body)


def _same(request: dict[str, Any]) -> dict[str, Any]:
    asked: dict[str, Any] = {name: value for name, value in _without_defaults(request).items() if value not in ([], "")}
    if "system" in asked:
        asked["system"] = _blocks(asked["system"])
    asked["messages"] = _turns(asked["messages"])
    if "tools" in asked:
        asked["tools"] = sorted(asked["tools"], key=lambda tool: str(tool.get("name")))
    return asked


def _without_defaults(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_defaults(inner) for name, inner in value.items() if inner is not None and (name not in DEFAULTS or inner != DEFAULTS[name])}
    return [_without_defaults(inner) for inner in value] if isinstance(value, list) else value


def _turns(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    turns: list[dict[str, Any]] = []
    for message in messages:
        blocks = _blocks(message["content"])
        if turns and turns[-1]["role"] == message["role"]:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": message["role"], "content": blocks})
    return turns


def _blocks(content: Any) -> list[dict[str, Any]]:
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    kept = [block for block in blocks if block.get("text", None) != ""]
    return [{**block, "content": _blocks(block["content"])} if block["type"] == "tool_result" and "content" in block else block for block in kept]
