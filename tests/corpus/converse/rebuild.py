"""A recorded Converse request as the request of our contract that asks for the same."""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any
from urllib.parse import unquote

from pydantic import ValidationError

from contracts.request import ChatRequestV1
from tests.corpus.recording import Case, NotApplicable, Recording

PATH = re.compile(r"^(.*)/model/([^/]+)/(converse|converse-stream)$")
BLOCK = "bedrock_block"
MIME = {
    **{name: f"image/{name}" for name in ("png", "jpeg", "gif", "webp")},
    **{name: f"video/{name}" for name in ("mp4", "webm", "mpeg", "mpg")},
    "pdf": "application/pdf",
    "csv": "text/csv",
    "html": "text/html",
    "txt": "text/plain",
    "md": "text/markdown",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "mkv": "video/x-matroska",
    "mov": "video/quicktime",
    "three_gp": "video/3gpp",
}
CHOICES: dict[str, Any] = {"auto": "auto", "any": "required"}
SAMPLED = {"temperature": "temperature", "topP": "top_p", "maxTokens": "max_output_tokens", "stopSequences": "stop"}


def case(recording: Recording) -> Case | NotApplicable:
    found = PATH.match(recording.route)
    assert found is not None, recording.route
    if isinstance(recording.request, str):
        return NotApplicable("the recorded request is not JSON")
    if not recording.request.get("messages"):
        return NotApplicable("a stored prompt in place of messages")
    try:
        request = request_of(deepcopy(recording.request), streamed=found[3] == "converse-stream")
    except ValidationError as error:
        return NotApplicable(f"not a request: {error.errors()[0]['msg']}")
    return Case("bedrock", unquote(found[2]), request, {"region": "us-east-1"}, found[1])


def request_of(asked: dict[str, Any], *, streamed: bool) -> ChatRequestV1:
    """The body, which is used up, as a request of our contract."""
    messages = [{"role": "system", "parts": list(_parts(asked.pop("system")))}] if asked.get("system") else []
    messages += [_message(message) for message in asked.pop("messages")]
    inference = asked.get("inferenceConfig") or {}
    fields: dict[str, Any] = {
        "messages": messages,
        "stream": streamed,
        "sampling": {ours: inference.pop(theirs) for theirs, ours in SAMPLED.items() if inference.get(theirs) is not None},
    }
    fields |= _tools(asked.get("toolConfig") or {}, asked)
    wanted = (asked.get("outputConfig") or {}).get("textFormat", {}).get("structure", {}).get("jsonSchema")
    if wanted is not None:
        del asked["outputConfig"]["textFormat"]
        schema = json.loads(wanted["schema"])
        described = {"description": wanted["description"], **schema} if wanted.get("description") else schema
        fields["output"] = {"name": wanted.get("name", "output"), "json_schema": described}
    return ChatRequestV1.model_validate({**fields, "provider_options": {"bedrock": {name: value for name, value in asked.items() if value}}})


def _tools(config: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """Function tools as ours; cache points and system tools by provider_options."""
    asked.pop("toolConfig", None)
    specs = [tool["toolSpec"] for tool in config.get("tools", ()) if "toolSpec" in tool]
    if others := [tool for tool in config.get("tools", ()) if "toolSpec" not in tool]:
        asked["toolConfig"] = {"tools": others}
    fields: dict[str, Any] = {"tools": [_tool(spec) for spec in specs]}
    for name, value in (config.get("toolChoice") or {}).items():
        fields["tool_choice"] = CHOICES.get(name) or {"name": value["name"]}
    return fields


def _tool(spec: dict[str, Any]) -> dict[str, Any]:
    return {"name": spec["name"], "description": spec.get("description"), "parameters": spec["inputSchema"]["json"], "strict": spec.get("strict")}


def _message(message: dict[str, Any]) -> dict[str, Any]:
    parts = list(_parts(message["content"]))
    results = bool(parts) and all(part["type"] == "tool_call_response" for part in parts)
    return {"role": "tool" if results else message["role"], "parts": parts}


def _parts(blocks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """A cache point belongs to the part before it."""
    part: dict[str, Any] | None = None
    for block in blocks:
        if "cachePoint" in block and part is not None:
            part["provider_data"] = {**part.get("provider_data", {}), "cachePoint": block["cachePoint"]}
            continue
        if part is not None:
            yield part
        part = _part(block)
    if part is not None:
        yield part


def _part(block: dict[str, Any]) -> dict[str, Any]:
    part = _known(block)
    return {"type": "text", "content": "", "provider_data": {BLOCK: block}} if part is None else part


def _known(block: dict[str, Any]) -> dict[str, Any] | None:
    ((kind, value),) = block.items()
    if kind == "text":
        return {"type": "text", "content": value}
    if kind == "toolUse" and "type" not in value:
        return {"type": "tool_call", "id": value["toolUseId"], "name": value["name"], "arguments": value["input"]}
    if kind == "toolResult" and "type" not in value:
        return {"type": "tool_call_response", "id": value["toolUseId"], "response": _response(value["content"]), "is_error": value.get("status") == "error"}
    if kind == "reasoningContent":
        said = value.get("reasoningText")
        return (
            {"type": "reasoning", "content": said["text"], "signature": said.get("signature")}
            if said
            else {"type": "reasoning", "encrypted": value["redactedContent"]}
        )
    if kind in ("image", "document", "video") and value.get("format") in MIME:
        return _media(kind, value)
    return None


def _response(content: list[dict[str, Any]]) -> Any:
    if len(content) == 1 and content[0].keys() in ({"text"}, {"json"}):
        return content[0].get("text", content[0].get("json"))
    return [_part(inner) for inner in content]


def _media(modality: str, value: dict[str, Any]) -> dict[str, Any] | None:
    more = {name: value[name] for name in ("name", "context", "citations") if name in value}
    source, mime = value["source"], MIME[value["format"]]
    if "bytes" in source:
        return {"type": "blob", "modality": modality, "mime_type": mime, "content": source["bytes"], "provider_data": more}
    if "s3Location" in source:
        owner = {"bucketOwner": source["s3Location"]["bucketOwner"]} if "bucketOwner" in source["s3Location"] else {}
        return {"type": "uri", "modality": modality, "mime_type": mime, "uri": source["s3Location"]["uri"], "provider_data": {**more, **owner}}
    return None
