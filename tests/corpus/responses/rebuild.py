"""A recorded Responses request as the request of our contract that asks for the same."""

import json
import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from catalog.kinds import kinds
from contracts.request import ChatRequestV1
from tests.corpus.recording import Case, NotApplicable, Recording

ENDPOINTS = {"compact": "compaction asked for on its own", "input_tokens": "token counting", "cancel": "stored responses", "input_items": "stored responses"}
TOOL = {"type", "name", "description", "parameters", "strict"}
CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
ANSWERS = ("function_call_output", "custom_tool_call_output")
MARKS = ("prompt_cache_breakpoint", "detail", "filename")


def case(recording: Recording) -> Case | NotApplicable:
    before, _, after = recording.route.rpartition("/responses")
    if after.strip("/"):
        return NotApplicable(ENDPOINTS.get(after.rpartition("/")[2], "stored responses"))
    if recording.method != "POST":
        return NotApplicable("stored responses")
    asked = dict(recording.request)
    if "input" not in asked or ("prompt" in asked and "model" not in asked):
        return NotApplicable("prompt templates kept by the provider, without a message")
    if asked.get("background") and not asked.get("stream"):
        return NotApplicable("background answers, fetched later")
    named = f"{recording.provider}_responses"
    type_name = named if named in kinds() else "compatible_responses"
    try:
        return Case(type_name, asked.pop("model"), _request(asked, type_name), _version(recording), before)
    except ValidationError as error:
        return NotApplicable(f"not a request: {error.errors()[0]['msg']}")


def _version(recording: Recording) -> dict[str, str]:
    found = re.search(r"[?&]api-version=([^&]+)", recording.path)
    return {"api_version": found[1]} if found else {}


def _request(asked: dict[str, Any], type_name: str) -> ChatRequestV1:
    given = asked.pop("input")
    if asked.get("store") is None and not isinstance(given, str) and any(map(_stored, given)):
        asked["store"] = True
    messages = [{"role": "system", "content": text}] if (text := asked.pop("instructions", None)) else []
    messages += list(_turns([{"role": "user", "content": given}] if isinstance(given, str) else given))
    fields: dict[str, Any] = {"messages": messages, "stream": bool(asked.pop("stream", False)), "sampling": _sampling(asked)}
    fields |= _tools(asked)
    shape = dict(asked.get("text") or {})
    if (wanted := shape.get("format") or {}).get("type") == "json_schema":
        fields["output"] = {"name": wanted["name"], "description": wanted.get("description"), "json_schema": wanted["schema"]}
        del shape["format"]
        asked["text"] = shape or None
    options = {name: value for name, value in asked.items() if value is not None}
    return ChatRequestV1.model_validate({**fields, "provider_options": {type_name: options}})


def _stored(item: dict[str, Any]) -> bool:
    """Whether an item means something only to a server that keeps it, as the API does by default."""
    return item.get("type") == "item_reference" or (item.get("type") == "reasoning" and not item.get("encrypted_content") and not item.get("content"))


def _sampling(asked: dict[str, Any]) -> dict[str, Any]:
    """What our contract refuses by itself, a caller can still send by provider_options."""
    held = {}
    for theirs, ours, most in (("temperature", "temperature", 2), ("top_p", "top_p", 1), ("max_output_tokens", "max_output_tokens", 10**9)):
        if (value := asked.get(theirs)) is not None and 0 <= value <= most and (value or ours == "temperature"):
            held[ours] = asked.pop(theirs)
    return held


def _tools(asked: dict[str, Any]) -> dict[str, Any]:
    """Function tools as ours; what else a tool says, and server tools, by provider_options."""
    ours, theirs = [], []
    for tool in asked.pop("tools", None) or []:
        if tool["type"] != "function":
            theirs.append(tool)
            continue
        ours.append({name: tool[name] for name in ("name", "description", "parameters", "strict") if tool.get(name) is not None})
        if tool.keys() - TOOL:
            theirs.append(tool)
    if theirs:
        asked["tools"] = theirs
    choice: Any = asked.get("tool_choice")
    if isinstance(choice, str) or (choice or {}).get("type") == "function":
        del asked["tool_choice"]
        return {"tools": ours, "tool_choice": choice if isinstance(choice, str) else {"name": choice["name"]}}
    return {"tools": ours}


def _turns(items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Items in a row of one side are one turn."""
    parts: list[dict[str, Any]] = []
    of = ""
    for item in items:
        role = item.get("role") if item.get("type", "message") == "message" else "tool" if item["type"] in ANSWERS else "assistant"
        role = {"developer": "system"}.get(str(role), str(role))
        if parts and (role != of or role in ("user", "system")):
            yield {"role": of, "parts": parts}
            parts = []
        of = role
        parts += _parts(item)
    if parts:
        yield {"role": of, "parts": parts}


def _parts(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    kind = item.get("type", "message")
    if kind == "message":
        own = {name: value for name, value in item.items() if name not in ("role", "content")}
        for block in [item["content"]] if isinstance(item["content"], str) else item["content"] or []:
            yield _block(block, own if item["role"] == "assistant" else {})
    elif kind == "reasoning":
        yield from _thoughts(item)
    elif kind in CALLS:
        yield _call(item, kind)
    elif kind in ANSWERS:
        output = item["output"]
        response = output if isinstance(output, str) else [_block(block, {}) for block in output]
        yield {"type": "tool_call_response", "id": item["call_id"], "response": response, "provider_data": {"openai_item": {"type": kind}}}
    else:
        yield {"type": "server_tool_call_response", "id": item.get("id"), "provider_data": {"openai_item": item}}


def _thoughts(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    own = {name: value for name, value in item.items() if name not in ("summary", "content", "encrypted_content")}
    texts: list[tuple[str | None, dict[str, bool]]] = [(text["text"], {}) for text in item.get("summary") or []] + [
        (text["text"], {"raw": True}) for text in item.get("content") or []
    ]
    for at, (text, how) in enumerate(texts or [(None, {})]):
        yield {"type": "reasoning", "content": text, "encrypted": None if at else item.get("encrypted_content"), "provider_data": {"openai_item": own, **how}}


def _call(item: dict[str, Any], kind: str) -> dict[str, Any]:
    own = {name: value for name, value in item.items() if name not in ("call_id", "name", CALLS[kind])}
    written, decoded = item[CALLS[kind]], None
    if kind == "function_call":
        try:
            decoded = json.loads(written)
        except ValueError:
            decoded = None
    part = {"type": "tool_call", "id": item["call_id"], "name": item["name"]}
    if isinstance(decoded, dict):
        return {**part, "arguments": decoded, "provider_data": {"openai_item": own}}
    return {
        **part,
        "arguments": {},
        "provider_data": {"openai_item": own, "raw_arguments": written, **({"custom": True} if kind == "custom_tool_call" else {})},
    }


def _block(block: str | dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    if isinstance(block, str):
        return {"type": "text", "content": block, "provider_data": {"openai_item": {"type": "message", **own}}} if own else {"type": "text", "content": block}
    data: dict[str, Any] = {name: block[name] for name in (*MARKS, "annotations", "logprobs") if block.get(name) is not None}
    if own:
        data["openai_item"] = {"type": "message", **own}
    if block["type"] == "refusal":
        return {"type": "text", "content": block["refusal"], "provider_data": {**data, "refusal": True}}
    part = {"type": "text", "content": block["text"]} if "text" in block else _media(block)
    return {**part, "provider_data": data} if data else part


def _media(block: dict[str, Any]) -> dict[str, Any]:
    modality = {"input_image": "image", "input_audio": "audio"}.get(block["type"], "document")
    if block["type"] == "input_audio":
        return {"type": "blob", "modality": modality, "mime_type": f"audio/{block['input_audio']['format']}", "content": block["input_audio"]["data"]}
    if block.get("file_id"):
        return {"type": "file", "modality": modality, "file_id": block["file_id"]}
    url = block.get("image_url") or block.get("file_data") or block["file_url"]
    if not url.startswith("data:"):
        return {"type": "uri", "modality": modality, "uri": url}
    mime_type, _, content = url.removeprefix("data:").partition(";base64,")
    return {"type": "blob", "modality": modality, "mime_type": mime_type, "content": content}
