"""A recorded chat-completions or embeddings request as the request of our contract that asks for the same."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import ValidationError

from catalog.kinds import kinds
from contracts.request import ChatRequestV1, EmbedRequestV1
from tests.corpus.recording import Case, NotApplicable, Recording

TYPES = {"local": "compatible"}
"""Provider types that are not called as the corpus calls them."""
DEPLOYMENT = re.compile(r"^(.*)/openai/deployments/([^/]+)/(chat/completions|embeddings)$")
AZURE_AI = re.compile(r"^(.*/models)/(chat/completions|embeddings)$")
PATHS = re.compile(r"^(.*)/(chat/completions|embeddings)$")
PART_FIELDS = ("cache_control", "prompt_cache_breakpoint")
"""What a content block or a message may carry beside its content."""


def case(recording: Recording) -> Case | NotApplicable:
    asked = dict(recording.request)
    type_name, base_path, options = _where(recording)
    deployment = DEPLOYMENT.match(recording.route)
    model = deployment[2] if deployment else asked["model"]
    del asked["model"]
    build: Callable[[dict[str, Any], str], ChatRequestV1 | EmbedRequestV1 | NotApplicable] = _embed if "input" in asked else chat_of
    try:
        request = build(asked, type_name)
        return request if isinstance(request, NotApplicable) else Case(type_name, model, request, options, base_path)
    except ValidationError as error:
        return NotApplicable(f"not a request: {error.errors()[0]['msg']}")


def recorded_request(recording: Recording) -> Any:
    """What was asked; without the model where the address of its deployment names it."""
    if recording.provider == "azure" and DEPLOYMENT.match(recording.route):
        return {name: value for name, value in recording.request.items() if name != "model"}
    return recording.request


def _where(recording: Recording) -> tuple[str, str, dict[str, str]]:
    """The provider's type, what stands before the protocol's own path, and the options that its address needs."""
    query = dict(pair.split("=", 1) for pair in recording.path.partition("?")[2].split("&") if "=" in pair)
    version = {"api_version": query["api-version"]} if "api-version" in query else {}
    if recording.provider == "azure":
        if found := DEPLOYMENT.match(recording.route):
            return "azure", found[1].rstrip("/"), version
        if found := AZURE_AI.match(recording.route):
            return "azure_ai", found[1], version
        return "azure_v1", _before(recording), {}
    named = TYPES.get(recording.provider, recording.provider)
    return named if named in kinds() else "compatible", _before(recording), {}


def _before(recording: Recording) -> str:
    found = PATHS.match(recording.route)
    assert found is not None, recording.route
    return found[1]


def _embed(asked: dict[str, Any], type_name: str) -> EmbedRequestV1 | NotApplicable:
    given = asked.pop("input")
    if not isinstance(given, str) and not all(isinstance(text, str) for text in given):
        return NotApplicable("texts given as token numbers")
    fields = {"input": [given] if isinstance(given, str) else given, "encoding": asked.pop("encoding_format", None) or "float"}
    if asked.get("dimensions") is not None:
        fields["dimensions"] = asked.pop("dimensions")
    return EmbedRequestV1.model_validate({**fields, "provider_options": {type_name: asked}})


def chat_of(asked: dict[str, Any], type_name: str) -> ChatRequestV1:
    fields: dict[str, Any] = {"messages": [_message(message) for message in asked.pop("messages")], "stream": bool(asked.pop("stream", False))}
    asked.pop("stream_options", None)
    fields |= _tools(asked)
    fields["sampling"] = _sampling(asked)
    shape = asked.get("response_format") or {}
    if shape.get("type") == "json_schema" and "schema" in shape.get("json_schema", {}):
        del asked["response_format"]
        named = shape["json_schema"]
        fields["output"] = {"name": named.get("name", "output"), "description": named.get("description"), "json_schema": named["schema"]}
    return ChatRequestV1.model_validate({**fields, "provider_options": {type_name: asked}})


def _sampling(asked: dict[str, Any]) -> dict[str, Any]:
    names = {
        "temperature": "temperature",
        "top_p": "top_p",
        "seed": "seed",
        "random_seed": "seed",
        "max_tokens": "max_output_tokens",
        "max_completion_tokens": "max_output_tokens",
    }
    sampling = {ours: asked.pop(theirs) for theirs, ours in names.items() if asked.get(theirs) is not None}
    if asked.get("stop") is not None:
        stop = asked.pop("stop")
        sampling["stop"] = [stop] if isinstance(stop, str) else stop
    return sampling


def _tools(asked: dict[str, Any]) -> dict[str, Any]:
    """Functions as our tools; what the provider itself runs goes by provider_options."""
    tools = asked.pop("tools", None) or []
    functions = [tool["function"] for tool in tools if _plain(tool)]
    if others := [tool for tool in tools if not _plain(tool)]:
        asked["tools"] = others
    fields: dict[str, Any] = {"tools": [{name: value for name, value in tool.items() if value is not None} for tool in functions]}
    choice = asked.get("tool_choice")
    if tools and choice is not None:
        asked.pop("tool_choice")
        fields["tool_choice"] = {"name": choice["function"]["name"]} if isinstance(choice, dict) else {"any": "required"}.get(choice, choice)
    return fields


def _plain(tool: dict[str, Any]) -> bool:
    """A function and nothing beside it that only this provider knows."""
    return tool.get("type", "function") == "function" and not any(name in tool for name in PART_FIELDS)


def _message(message: dict[str, Any]) -> dict[str, Any]:
    role = {"developer": "system"}.get(message["role"], message["role"])
    beside = {name: message[name] for name in PART_FIELDS if name in message}
    if role == "tool":
        return {"role": "tool", "parts": [_tool_result(message, beside)]}
    parts = [*_reasoning(message), *_blocks(message.get("content")), *_calls(message)]
    if beside or message.get("prefix"):
        marked = {**beside, **({"prefix": True} if message.get("prefix") else {})}
        last = parts[-1]
        last["provider_data"] = {**(last.get("provider_data") or {}), "message": marked}
    return {"role": role, "parts": parts}


def _tool_result(message: dict[str, Any], beside: dict[str, Any]) -> dict[str, Any]:
    content = message["content"]
    part: dict[str, Any] = {"type": "tool_call_response", "id": message["tool_call_id"], "response": content if isinstance(content, str) else ""}
    if not isinstance(content, str):
        part["provider_data"] = {"content": content}
    if beside:
        part["provider_data"] = {**part.get("provider_data", {}), "message": beside}
    return part


def _reasoning(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if details := message.get("reasoning_details"):
        yield {"type": "reasoning", "content": message.get("reasoning"), "provider_data": {"reasoning_details": details}}
    elif text := message.get("reasoning_content") or message.get("reasoning"):
        yield {"type": "reasoning", "content": text}


def _calls(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for call in message.get("tool_calls") or []:
        written = call["function"]["arguments"]
        try:
            arguments = json.loads(written) if isinstance(written, str) else written
        except ValueError:
            arguments = None
        part = {"type": "tool_call", "id": call["id"], "name": call["function"]["name"], "arguments": arguments if isinstance(arguments, dict) else {}}
        yield part if isinstance(arguments, dict) else {**part, "provider_data": {"raw_arguments": written}}


def _blocks(content: Any) -> Iterator[dict[str, Any]]:
    if isinstance(content, str):
        yield {"type": "text", "content": content}
    for block in content if isinstance(content, list) else []:
        part = _block({name: value for name, value in block.items() if value is not None})
        beside = {name: block[name] for name in PART_FIELDS if name in block}
        yield {**part, "provider_data": {**(part.get("provider_data") or {}), **beside}} if beside else part


def _block(block: dict[str, Any]) -> dict[str, Any]:
    kind = block["type"]
    if kind == "text":
        return {"type": "text", "content": block["text"]}
    if kind == "thinking":
        return {"type": "reasoning", "content": "".join(inner["text"] for inner in block["thinking"])}
    if kind == "input_audio":
        return {"type": "blob", "modality": "audio", "mime_type": f"audio/{block[kind]['format']}", "content": block[kind]["data"]}
    if kind == "file":
        return _file(block["file"])
    modality = {"file_url": "document"}.get(kind, kind.removesuffix("_url"))
    given = block[kind] if isinstance(block[kind], dict) else {"url": block[kind]}
    part = _at(modality, given["url"])
    return {**part, "provider_data": {"detail": given["detail"]}} if given.get("detail") else part


def _at(modality: str, url: str) -> dict[str, Any]:
    if not url.startswith("data:"):
        return {"type": "uri", "modality": modality, "uri": url}
    mime_type, _, content = url.removeprefix("data:").partition(";base64,")
    return {"type": "blob", "modality": modality, "mime_type": mime_type, "content": content}


def _file(file: dict[str, Any]) -> dict[str, Any]:
    if "file_id" in file:
        return {"type": "file", "modality": "document", "file_id": file["file_id"]}
    part = _at("document", file["file_data"])
    return {**part, "provider_data": {"filename": file["filename"]}} if file.get("filename") else part
