"""Parts of our turns as content blocks. Pure."""

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from contracts.content import (
    BlobPart,
    FilePart,
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

BLOCK = "anthropic_block"
"""The key of `provider_data` under which a block stands as it came, or as it shall be sent: server tools, and what our contract has no part for."""
CARRIED = {
    "text": ("citations", "cache_control"),
    "tool_use": ("caller", "toolset_name", "cache_control"),
    "tool_result": ("toolset_name", "cache_control"),
    "image": ("transformations", "cache_control"),
    "document": ("title", "context", "citations", "cache_control"),
}
"""Fields of a block that `provider_data` may hold under their own names."""
CONTENT_KEYS = {"text": "text", "image": "source", "document": "source", "search_result": "source", "tool_reference": "tool_name"}
"""What the API's own blocks of a tool's result are known by."""
SERVER_IDS = "srvtoolu_"
NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")
DATA_URI = re.compile(r"data:(?P<mime>[^;,]*)(?:;[^;,]*)*;base64,(?P<content>.*)", re.DOTALL)
CONTENT = TypeAdapter(tuple[Part, ...])


def blocks_of(parts: tuple[Part, ...], where: str, conversion: Conversion) -> list[Body]:
    """The blocks of one turn, tool results first, as the API wants them; empty texts, which it refuses, are left out."""
    answers = [(at, part) for at, part in enumerate(parts) if isinstance(part, ToolCallResponsePart)]
    others = [(at, part) for at, part in enumerate(parts) if not isinstance(part, ToolCallResponsePart)]
    servers = {part.id: part.name for part in parts if isinstance(part, ServerToolCallPart)}
    return [block for at, part in answers + others for block in _blocks(part, f"{where}.parts.{at}", conversion, servers)]


def _blocks(part: Part, where: str, conversion: Conversion, servers: Mapping[str | None, str]) -> Iterator[Body]:
    whole = (part.provider_data or {}).get(BLOCK)
    if isinstance(whole, dict):
        yield whole
    elif isinstance(part, ReasoningPart):
        yield from _reasoning(part, conversion)
    elif isinstance(part, ServerToolCallPart | ServerToolCallResponsePart):
        yield from _server_tool(part, conversion, servers)
    elif not isinstance(part, TextPart) or part.content:
        block = BY_TYPE[part.type](part, where, conversion)
        yield {**block, **_carried(block["type"], part)}


def _carried(block_type: str, part: Part) -> Body:
    given = part.provider_data or {}
    return {name: given[name] for name in CARRIED.get(block_type, ()) if given.get(name) is not None}


def _reasoning(part: ReasoningPart, conversion: Conversion) -> Iterator[Body]:
    if part.signature is not None:
        yield {"type": "thinking", "thinking": part.content or "", "signature": part.signature}
    elif part.encrypted is not None:
        yield {"type": "redacted_thinking", "data": part.encrypted}
    else:
        conversion.dropped("reasoning without a signature")


def _server_tool(part: ServerToolCallPart | ServerToolCallResponsePart, conversion: Conversion, servers: Mapping[str | None, str]) -> Iterator[Body]:
    """Without its block a part of ours is known by its id, and a result's type by the name of its call."""
    if not (part.id or "").startswith(SERVER_IDS) or (isinstance(part, ServerToolCallResponsePart) and part.id not in servers):
        conversion.dropped(f"part of type {part.type!r} of another provider")
    elif isinstance(part, ServerToolCallPart):
        yield {"type": "server_tool_use", "id": part.id, "name": part.name, "input": part.arguments}
    else:
        name = servers[part.id]
        yield {"type": f"{'tool_search' if name.startswith('tool_search') else name}_tool_result", "tool_use_id": part.id, "content": part.response}


def _text(part: TextPart, where: str, conversion: Conversion) -> Body:
    return {"type": "text", "text": part.content}


def _tool_use(part: ToolCallPart, where: str, conversion: Conversion) -> Body:
    return {"type": "tool_use", "id": NOT_IN_IDS.sub("_", part.id), "name": part.name, "input": part.arguments}


def _tool_result(part: ToolCallResponsePart, where: str, conversion: Conversion) -> Body:
    block: Body = {"type": "tool_result", "tool_use_id": NOT_IN_IDS.sub("_", part.id)}
    content = _result_content(part.response, where, conversion)
    if content:
        block["content"] = content
    return {**block, "is_error": True} if part.is_error else block


def _result_content(response: Any, where: str, conversion: Conversion) -> str | list[Body]:
    """A list of parts (text, blob, uri, file) goes as blocks, so that a tool can answer with images; blocks as they are; anything else as text."""
    if isinstance(response, str):
        return response
    if isinstance(response, list) and response and all(isinstance(item, dict) and "type" in item for item in response):
        if all(CONTENT_KEYS.get(item["type"], "") in item for item in response):
            return response
        try:
            parts = CONTENT.validate_python(response)
        except ValidationError:
            return to_json(response).decode()
        return blocks_of(parts, where, conversion)
    return to_json(response).decode()


def _blob(part: BlobPart, where: str, conversion: Conversion) -> Body:
    if part.modality == "image":
        return _image({"type": "base64", "media_type": part.mime_type, "data": part.content})
    if part.modality == "document" and part.mime_type == "application/pdf":
        return _document({"type": "base64", "media_type": part.mime_type, "data": part.content})
    if part.modality == "document" and part.mime_type.startswith("text/"):
        return _document({"type": "text", "media_type": "text/plain", "data": _decoded(part.content, where)})
    what = f"documents of type {part.mime_type!r}" if part.modality == "document" else part.modality
    raise Unconvertible(f"{where}: {conversion.kind.type} takes no {what}; send a PDF, a text or an image, or ask another provider")


def _decoded(content: str, where: str) -> str:
    try:
        return base64.b64decode(content, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Unconvertible(f"{where}: content is not base64 of UTF-8 text: {error}") from None


def _uri(part: UriPart, where: str, conversion: Conversion) -> Body:
    if found := DATA_URI.fullmatch(part.uri):
        blob = BlobPart(modality=part.modality, mime_type=part.mime_type or found["mime"] or "text/plain", content=found["content"])
        return _blob(blob, where, conversion)
    return _source({"type": "url", "url": part.uri}, part, where, conversion)


def _file(part: FilePart, where: str, conversion: Conversion) -> Body:
    return _source({"type": "file", "file_id": part.file_id}, part, where, conversion)


def _source(source: Body, part: UriPart | FilePart, where: str, conversion: Conversion) -> Body:
    if part.modality in ("image", "document"):
        return _image(source) if part.modality == "image" else _document(source)
    raise Unconvertible(f"{where}: {conversion.kind.type} takes no {part.modality}; ask another provider")


def _image(source: Body) -> Body:
    return {"type": "image", "source": source}


def _document(source: Body) -> Body:
    return {"type": "document", "source": source}


BY_TYPE: dict[str, Callable[[Any, str, Conversion], Body]] = {
    "text": _text,
    "tool_call": _tool_use,
    "tool_call_response": _tool_result,
    "blob": _blob,
    "uri": _uri,
    "file": _file,
}
