"""Whether a Responses request asks for the same as the recorded one, and whether the SDK's types accept it."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming, ResponseCreateParamsStreaming
from pydantic import TypeAdapter

from tests.corpus.bodies import differ, refusal

ALLOWED = {
    "null, empty or absent": "a field that is null or an empty list asks for nothing",
    "stream: false, store: true": "the defaults",
    "a text as a string": "OpenAI's reference: a string is one input_text; an input that is a string is one user message",
    "instructions": "OpenAI's reference: a system message put in front of the context; xAI and others take it as a message alone",
    "developer or system": "OpenAI's reference: on models that know the developer role a system message is one; our contract has one word for it",
    "store: false": "Headrace keeps conversations itself; a caller who wants the provider to keep them says so",
    "include reasoning.encrypted_content": "what is not stored must come back with the next turn",
    "detail: auto": "the default of an image; the SDK's types want it said",
    "strict": "of a tool: always said, since the API makes a schema strict by itself where it is not; of an output: set where OpenAI's rules for it are met",
    "order of tools": "the request's own come first, then those of provider_options",
    "arguments as text": "compared decoded: spaces between tokens say nothing",
    "texts of one assistant message without an id": "each is a message of its own",
    "annotations: []": "the SDK's types want it said",
    "type: message": "the default of an item",
    "tool_choice: auto": "the default; without tools there is nothing to choose",
    "id of reasoning before an item without one": "recorded with status 400; without its id the reasoning is taken",
    "id and status of a user's or a system's message": "the API numbers what it lists; it asks for no number back",
    "temperature, top_p": "models that reason take none; the adapter makes an effort of a temperature, and warns",
    "parameters of a tool": "none are those of an object without any",
    "a refusal without the id of its message": "its words are a message",
    "a message without content": "recorded before a call; it says nothing",
}
"""What may differ from a recorded request, and why."""
ENCRYPTED = "reasoning.encrypted_content"
WEIGHED = re.compile(r"(^|/)(o[134]|gpt-5)")
DEFAULTS: tuple[tuple[str, Any], ...] = (("stream", False), ("tool_choice", "auto"), ("store", True))
UNSAID: dict[str, dict[str, Any]] = {"reasoning": {"id": "rs_0"}, "image_generation_call": {"status": "completed", "result": None}}
"""What the API does without (recorded with status 200: encrypted reasoning has no id, a generated image nothing else), and the SDK's types want."""


def differences(recorded_request: Any, sent_request: Any) -> list[str]:
    recorded, sent = _same(recorded_request), _same(sent_request)
    if "store" not in recorded and sent.get("store") is False:
        del sent["store"]
    if ENCRYPTED not in recorded.get("include", ()) and "include" in sent:
        sent["include"] = [name for name in sent["include"] if name != ENCRYPTED]
    for name in [name for name, value in sent.items() if value == []]:
        del sent[name]
    unsaid = {tool.get("name") for tool in recorded.get("tools", ()) if "strict" not in tool}
    for tool in sent.get("tools", ()):
        if tool.get("name") in unsaid:
            tool.pop("strict", None)
    if WEIGHED.search(recorded.get("model", "")):
        sent = _weighed(recorded, sent)
    return list(differ("", recorded, sent))


def _weighed(recorded: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
    """Without what was recorded of sampling and not sent, and the effort that stands for it."""
    unsent = [name for name in ("temperature", "top_p") if name not in sent and recorded.pop(name, None) is not None]
    reasoning = {name: value for name, value in sent.get("reasoning", {}).items() if name != "effort" or "temperature" not in unsent}
    return {name: value for name, value in {**sent, "reasoning": reasoning}.items() if value != {}}


def _same(request: dict[str, Any]) -> dict[str, Any]:
    asked = {name: value for name, value in request.items() if value not in (None, [], "") and (name, value) not in DEFAULTS}
    given = asked["input"]
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    if "instructions" in asked:
        items = [{"role": "system", "content": asked.pop("instructions")}, *items]
    plain = [_plain(item) for item in items]
    for at, item in enumerate(plain):
        after: dict[str, Any] = next((other for other in plain[at + 1 :] if other.get("type") != "reasoning"), {})
        if item.get("type") == "reasoning" and "encrypted_content" in item and "id" not in after:
            item.pop("id", None)
    asked["input"] = [same for item in plain for same in _item(item)]
    if "include" in asked:
        asked["include"] = sorted(asked["include"])
    if "tools" in asked:
        asked["tools"] = sorted((_tool(tool) for tool in asked["tools"]), key=lambda tool: (tool["type"], tool.get("name", ""), json.dumps(tool)))
    if "text" in asked:
        shape = _plain(asked["text"])
        if shape.get("format", {}).get("type") == "json_schema":
            shape["format"].pop("strict", None)
        asked["text"] = shape
    return asked


def _item(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """One item in one way of writing it."""
    if item.get("type", "message") == "message":
        yield from _message(item)
        return
    if item["type"] == "function_call":
        with suppress(ValueError):
            item["arguments"] = json.loads(item["arguments"] or "{}")
    if item["type"] in ("function_call_output", "custom_tool_call_output") and isinstance(item.get("output"), list):
        item["output"] = [_block(block) for block in item["output"]]
    yield item


def _message(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    content = item.get("content", [])
    role = {"developer": "system"}.get(item["role"], item["role"])
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else [_block(block) for block in content]
    message = {**item, "role": role, "content": blocks}
    message.pop("type", None)
    if role != "assistant":
        message = {name: value for name, value in message.items() if name not in ("id", "status")}
    if role != "assistant" or "id" in item:
        yield from [message] if blocks else []
        return
    for block in blocks:
        said = {"type": "text", "text": block["refusal"]} if block["type"] == "refusal" else block
        if said.get("text") != "":
            yield {**message, "content": [said]}


def _block(block: dict[str, Any]) -> dict[str, Any]:
    if (block["type"], block.get("detail")) == ("input_image", "auto"):
        return {name: value for name, value in block.items() if name != "detail"}
    return {**block, "type": "text"} if block["type"] in ("input_text", "output_text") else block


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    return {**_plain(tool), "parameters": tool.get("parameters") or {"type": "object"}} if tool["type"] == "function" else _plain(tool)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return {name: _plain(inner) for name, inner in value.items() if inner is not None and inner != []} if isinstance(value, dict) else value


_TYPES: dict[bool, TypeAdapter[Any]] = {}


def accepted(sent_request: Any) -> str | None:
    """What the SDK's types say against a body; fields that they do not know pass, as the SDK passes `extra_body`."""
    streamed = bool(sent_request.get("stream"))
    wanted: Any = ResponseCreateParamsStreaming if streamed else ResponseCreateParamsNonStreaming
    if streamed not in _TYPES:
        _TYPES[streamed] = TypeAdapter(wanted)
    items = [{**UNSAID.get(str(item.get("type")), {}), **item} for item in sent_request["input"]]
    return refusal(_TYPES[streamed], {**sent_request, "input": items})
