"""Whether a chat-completions or embeddings request asks for the same as the recorded one, and whether the SDK's types accept it."""

import json
from typing import Any

from openai.types import EmbeddingCreateParams
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming, CompletionCreateParamsStreaming
from pydantic import TypeAdapter

from tests.corpus.bodies import differ, refusal

ALLOWED = {
    "null or absent": "a field that is null asks for nothing",
    "a lone text as a string": "OpenAI's reference: content is a string or an array of blocks; one text block says the same",
    "content of a turn with tool calls": "null, an empty string and no content at all say that the model only called",
    "stream: false, prefix: false, encoding_format: float": "the defaults",
    "model": "where a deployment's address names it the recorded request may leave it out",
    "stream_options": "usage is always asked for where the provider understands that: else it would be unknown",
    "developer or system": "OpenAI's reference: on models that know the developer role a system message is one; our contract has one word for it",
    "max_tokens or max_completion_tokens": "one limit under two names; each provider is sent the one it documents",
    "seed or random_seed": "the same for Mistral",
    "type of a tool": "'function' where it is absent: the default of every server that lets it be absent",
    "tool_choice any or required": "Mistral's two words for one thing",
    "strict of a schema": "set where OpenAI's rules for strict schemas are met, so that the answer is sure to fit; recorders set it by hand",
    "reasoning or reasoning_content": "two names for what the model had thought; each provider is sent the one it documents",
    "arguments as text": "compared decoded: spaces between tokens say nothing",
    "reasoning beside reasoning_details": "the details hold the same words",
    "name of an output": "required by OpenAI, chosen by the caller",
}
"""What may differ from a recorded request, and why."""
EMPTY: tuple[Any, ...] = (None, [], "")


def differences(recorded_request: Any, sent_request: Any) -> list[str]:
    recorded, sent = _same(recorded_request), _same(sent_request)
    if "model" not in recorded:
        sent.pop("model", None)
    return list(differ("", recorded, sent))


def _same(request: dict[str, Any]) -> dict[str, Any]:
    unsaid = [("stream", False), ("encoding_format", "float")]
    asked = {name: value for name, value in request.items() if (value not in EMPTY or name == "input") and name != "stream_options"}
    asked = {name: value for name, value in asked.items() if (name, value) not in unsaid}
    for theirs, one in (("max_completion_tokens", "max_tokens"), ("random_seed", "seed")):
        if theirs in asked:
            asked[one] = asked.pop(theirs)
    if isinstance(asked.get("stop"), str):
        asked["stop"] = [asked["stop"]]
    if "messages" in asked:
        asked["messages"] = [_message(message) for message in asked["messages"]]
    if "tools" in asked:
        asked["tools"] = [_tool(tool) for tool in asked["tools"]]
    choice = asked.get("tool_choice")
    if choice == "any":
        asked["tool_choice"] = "required"
    elif isinstance(choice, dict):
        asked["tool_choice"] = {"type": "function", **choice}
    if isinstance(asked.get("input"), str):
        asked["input"] = [asked["input"]]
    if isinstance(shape := asked.get("response_format"), dict) and "json_schema" in shape:
        schema = {
            name: value for name, value in shape["json_schema"].items() if name != "strict" and (name, value) not in (("name", "output"), ("description", None))
        }
        asked["response_format"] = {**shape, "json_schema": schema}
    return asked


def _message(message: dict[str, Any]) -> dict[str, Any]:
    wire = {name: value for name, value in message.items() if value not in EMPTY and (name, value) != ("prefix", False)}
    wire["role"] = {"developer": "system"}.get(wire["role"], wire["role"])
    if "content" in wire:
        wire["content"] = _content(wire["content"])
    if "reasoning_content" in wire:
        wire["reasoning"] = wire.pop("reasoning_content")
    details = "".join(detail.get("text") or detail.get("summary") or "" for detail in wire.get("reasoning_details", ()))
    if "reasoning" in wire and wire["reasoning"] == details:
        del wire["reasoning"]
    if "tool_calls" in wire:
        wire["tool_calls"] = [_call(call) for call in wire["tool_calls"]]
    return wire


def _content(content: Any) -> Any:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    blocks = [{name: value for name, value in block.items() if value is not None} for block in content]
    return [{**block, "image_url": {"url": block["image_url"]}} if isinstance(block.get("image_url"), str) else block for block in blocks]


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    try:
        arguments = json.loads(function["arguments"])
    except (TypeError, ValueError):
        arguments = function["arguments"]
    return {"id": call["id"], "type": "function", "function": {"name": function["name"], "arguments": arguments}}


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    wire = {"type": "function", **{name: value for name, value in tool.items() if value is not None}}
    if "function" in wire:
        wire["function"] = {name: value for name, value in wire["function"].items() if value not in (None, "") and (name, value) != ("strict", False)}
    return wire


EXTENSIONS = {
    "document_url": "Mistral: https://docs.mistral.ai/capabilities/document_ai/document_qna",
    "video_url": "OpenRouter: https://openrouter.ai/docs/guides/overview/multimodal/videos",
    "file_url": "Perplexity: https://docs.perplexity.ai/guides/file-attachments",
    "thinking": "Mistral: https://docs.mistral.ai/capabilities/reasoning",
    "openrouter:": "OpenRouter's own tools: https://openrouter.ai/docs/guides/features/server-tools",
    "reasoning_effort": "Groq knows none and default: https://console.groq.com/docs/reasoning",
    "service_tier": "Groq: on_demand, https://console.groq.com/docs/service-tiers",
    "image_url": "OpenRouter passes images in a tool's answer on to models that take them",
}
"""What providers document beyond OpenAI's types; left out before the SDK's types are asked. Why: where it stands."""
_TYPES: dict[str, TypeAdapter[Any]] = {}


def accepted(sent_request: Any) -> str | None:
    """What the SDK's types say against a body; fields that they do not know pass, as the SDK passes `extra_body`."""
    wanted = (
        EmbeddingCreateParams
        if "input" in sent_request
        else CompletionCreateParamsStreaming
        if sent_request.get("stream")
        else CompletionCreateParamsNonStreaming
    )
    return refusal(_TYPES.setdefault(wanted.__name__, TypeAdapter(wanted)), _within_openai(sent_request))


def _within_openai(sent: dict[str, Any]) -> dict[str, Any]:
    """The request less the documented EXTENSIONS of other providers."""
    plain = {name: value for name, value in sent.items() if name not in ("reasoning_effort", "service_tier")}
    if "messages" in plain:
        plain["messages"] = [{**message, "content": _plain_content(message)} for message in plain["messages"]]
    if "tools" in plain:
        plain["tools"] = [tool for tool in plain["tools"] if not tool["type"].startswith("openrouter:")]
    return plain


def _plain_content(message: dict[str, Any]) -> Any:
    content = message.get("content")
    own = {"document_url", "video_url", "file_url", "thinking", *({"image_url"} if message["role"] == "tool" else ())}
    return [block for block in content if block["type"] not in own] if isinstance(content, list) else content
