"""A recorded Messages request as the request of our contract that asks for the same."""

import base64
import re
from typing import Any

from pydantic import ValidationError

from contracts.request import ChatRequestV1
from tests.corpus.recording import Case, NotApplicable, Recording

PATH = re.compile(r"^(.*)/v1/messages$")
VERTEX = re.compile(r"^(.*)/projects/([^/]+)/locations/([^/]+)/publishers/anthropic/models/([^/:]+):(?:stream)?[rR]awPredict$")
BLOCK = "anthropic_block"
KEPT = {
    "text": {"citations", "cache_control"},
    "tool_use": {"caller", "toolset_name", "cache_control"},
    "tool_result": {"toolset_name", "cache_control"},
    "image": {"transformations", "cache_control"},
    "document": {"title", "context", "citations", "cache_control"},
}
"""Fields of a block that a part's `provider_data` carries."""
PLAIN_TOOL = {"name", "description", "input_schema", "strict", "type"}
CHOICES: dict[str, Any] = {"auto": "auto", "any": "required", "none": "none"}


def case(recording: Recording) -> Case | NotApplicable:
    asked = dict(recording.request)
    model = asked.pop("model", None)
    type_name, base_path, options = "anthropic", "", {}
    if found := VERTEX.match(recording.route):
        type_name, base_path, model = "vertex_anthropic", found[1], found[4]
        options = {"project": found[2], "location": found[3]}
        asked.pop("anthropic_version", None)
    elif found := PATH.match(recording.route):
        base_path = found[1]
    try:
        return Case(type_name, str(model), request_of(asked, type_name, recording.request_headers), options, base_path)
    except ValidationError as error:
        return NotApplicable(f"not a request: {error.errors()[0]['msg']}")


def request_of(asked: dict[str, Any], type_name: str, headers: dict[str, str]) -> ChatRequestV1:
    """The body, which is used up, as a request of our contract."""
    messages = [_message("system", asked.pop("system"))] if asked.get("system") else []
    messages += [_message(message["role"], message["content"]) for message in asked.pop("messages")]
    fields: dict[str, Any] = {"messages": messages, "stream": bool(asked.pop("stream", False)), "sampling": _sampling(asked)}
    fields |= _tools(asked)
    shape = dict(asked.pop("output_config", None) or {})
    if (wanted := shape.pop("format", None)) is not None:
        fields["output"] = {"json_schema": wanted["schema"]}
    if shape:
        asked["output_config"] = shape
    if beta := headers.get("anthropic-beta"):
        asked["betas"] = beta.split(",")
    return ChatRequestV1.model_validate({**fields, "provider_options": {type_name: asked}})


def _sampling(asked: dict[str, Any]) -> dict[str, Any]:
    names = {"temperature": "temperature", "top_p": "top_p", "max_tokens": "max_output_tokens", "stop_sequences": "stop"}
    return {ours: asked.pop(theirs) for theirs, ours in names.items() if asked.get(theirs) is not None}


def _tools(asked: dict[str, Any]) -> dict[str, Any]:
    """Function tools as ours; what else a tool says, and server tools, by provider_options."""
    ours, theirs = [], []
    for tool in asked.pop("tools", None) or []:
        if tool.get("type", "custom") != "custom":
            theirs.append(tool)
            continue
        plain = {"name": tool["name"], "description": tool.get("description"), "parameters": tool["input_schema"], "strict": tool.get("strict")}
        ours.append(plain)
        if more := {name: value for name, value in tool.items() if name not in PLAIN_TOOL and value is not None}:
            theirs.append({"name": tool["name"], **more})
    if theirs:
        asked["tools"] = theirs
    choice = asked.get("tool_choice") or {}
    if choice and not choice.get("disable_parallel_tool_use"):
        del asked["tool_choice"]
        return {"tools": ours, "tool_choice": CHOICES.get(choice["type"]) or {"name": choice["name"]}}
    return {"tools": ours}


def _message(role: str, content: Any) -> dict[str, Any]:
    if isinstance(content, str):
        return {"role": role, "content": content}
    parts = [_part(block) for block in content]
    results = bool(parts) and all(part["type"] == "tool_call_response" for part in parts)
    return {"role": "tool" if results else role, "parts": parts}


def _part(block: dict[str, Any]) -> dict[str, Any]:
    kind = block["type"]
    part = _known(kind, block)
    if part is None:
        return {"type": "text", "content": "", "provider_data": {BLOCK: block}}
    more = {name: value for name, value in block.items() if name in KEPT.get(kind, ()) and value is not None}
    return {**part, "provider_data": more} if more else part


def _known(kind: str, block: dict[str, Any]) -> dict[str, Any] | None:
    if kind == "text":
        return {"type": "text", "content": block["text"]}
    if kind == "thinking":
        return {"type": "reasoning", "content": block["thinking"], "signature": block.get("signature")}
    if kind == "redacted_thinking":
        return {"type": "reasoning", "encrypted": block["data"]}
    if kind == "tool_use":
        return {"type": "tool_call", "id": block["id"], "name": block["name"], "arguments": block["input"]}
    if kind == "tool_result":
        content = block.get("content") or ""
        response = content if isinstance(content, str) else [_part(inner) for inner in content]
        return {"type": "tool_call_response", "id": block["tool_use_id"], "response": response, "is_error": bool(block.get("is_error"))}
    if kind in ("server_tool_use", "mcp_tool_use"):
        return {"type": "server_tool_call", "id": block["id"], "name": block["name"], "arguments": block["input"], "provider_data": {BLOCK: block}}
    if kind in ("image", "document"):
        return _media(kind, block["source"])
    return None


def _media(modality: str, source: dict[str, Any]) -> dict[str, Any] | None:
    where = source["type"]
    if where == "base64":
        return {"type": "blob", "modality": modality, "mime_type": source["media_type"], "content": source["data"]}
    if where == "url":
        return {"type": "uri", "modality": modality, "uri": source["url"]}
    if where == "file":
        return {"type": "file", "modality": modality, "file_id": source["file_id"]}
    if where == "text":
        return {"type": "uri", "modality": modality, "uri": _data_uri(source["data"])}
    return None


def _data_uri(text: str) -> str:
    return f"data:text/plain;base64,{base64.b64encode(text.encode()).decode()}"
