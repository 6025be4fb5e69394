"""Parts of our turns as Converse content blocks. Pure."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from contracts.content import (
    BlobPart,
    FilePart,
    Modality,
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

BLOCK = "bedrock_block"
"""The key of `provider_data` under which a block stands as it came, or as it shall be sent: server tools, citations, what our contract has no part for."""
CACHE_POINT = "cachePoint"
"""A key of `provider_data`: the cache point to be set behind the part."""
FORMATS: dict[str, str] = {
    **{f"image/{name}": name for name in ("png", "jpeg", "gif", "webp")},
    "image/jpg": "jpeg",
    "application/pdf": "pdf",
    "text/csv": "csv",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    **{f"video/{name}": name for name in ("mp4", "webm", "mpeg", "mpg")},
    "video/x-matroska": "mkv",
    "video/quicktime": "mov",
    "video/x-flv": "flv",
    "video/x-ms-wmv": "wmv",
    "video/3gpp": "three_gp",
    **{f"audio/{name}": name for name in ("mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "webm")},
    "audio/mpeg": "mp3",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/x-flac": "flac",
}
"""Bedrock's words for media types."""
SUFFIXES = {"jpg": "jpeg", "3gp": "three_gp"}
NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9\s\-()\[\]]+")
"""API reference of DocumentBlock: what its name may not hold."""
NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_.:-]")
CONTENT_KEYS = frozenset({"text", "json", "image", "document", "video", "searchResult"})
"""The API's own blocks of a tool's result."""
DATA_URI = re.compile(r"data:(?P<mime>[^;,]*)(?:;[^;,]*)*;base64,(?P<content>.*)", re.DOTALL)
CONTENT = TypeAdapter(tuple[Part, ...])


def blocks_of(parts: tuple[Part, ...], where: str, conversion: Conversion, *, signed: bool) -> list[Body]:
    """The blocks of one turn, tool results first; empty texts, which are refused, are left out. `signed`: reasoning needs its signature."""
    answers = [(at, part) for at, part in enumerate(parts) if isinstance(part, ToolCallResponsePart)]
    others = [(at, part) for at, part in enumerate(parts) if not isinstance(part, ToolCallResponsePart)]
    return [block for at, part in answers + others for block in _blocks(part, f"{where}.parts.{at}", conversion, signed)]


def _blocks(part: Part, where: str, conversion: Conversion, signed: bool) -> Iterator[Body]:
    kept = part.provider_data or {}
    if isinstance(whole := kept.get(BLOCK), dict):
        yield whole
    elif isinstance(part, ReasoningPart):
        yield from _reasoning(part, conversion, signed)
    elif isinstance(part, ServerToolCallPart | ServerToolCallResponsePart):
        conversion.dropped(f"part of type {part.type!r} of another provider")
    elif not isinstance(part, TextPart) or part.content:
        yield BY_TYPE[part.type](part, where, conversion)
    if isinstance(point := kept.get(CACHE_POINT), dict):
        yield {"cachePoint": point}


def _reasoning(part: ReasoningPart, conversion: Conversion, signed: bool) -> Iterator[Body]:
    if part.encrypted is not None:
        yield {"reasoningContent": {"redactedContent": part.encrypted}}
    elif part.signature is not None:
        yield {"reasoningContent": {"reasoningText": {"text": part.content or "", "signature": part.signature}}}
    elif signed or not part.content:
        conversion.dropped("reasoning without a signature")
    else:
        yield {"reasoningContent": {"reasoningText": {"text": part.content}}}


def _text(part: TextPart, where: str, conversion: Conversion) -> Body:
    return {"text": part.content}


def _tool_use(part: ToolCallPart, where: str, conversion: Conversion) -> Body:
    return {"toolUse": {"toolUseId": NOT_IN_IDS.sub("_", part.id), "name": part.name, "input": part.arguments}}


def _tool_result(part: ToolCallResponsePart, where: str, conversion: Conversion) -> Body:
    status = {"status": "error"} if part.is_error else {}
    return {"toolResult": {"toolUseId": NOT_IN_IDS.sub("_", part.id), "content": _result(part.response, where, conversion), **status}}


def _result(response: Any, where: str, conversion: Conversion) -> list[Body]:
    """A list of parts (text, blob, uri) goes as blocks, so that a tool can answer with images; blocks as they are; an object as JSON, the rest as text."""
    if isinstance(response, str):
        return [{"text": response}]
    if isinstance(response, list) and response and all(isinstance(item, dict) and len(item) == 1 and item.keys() <= CONTENT_KEYS for item in response):
        return response
    if isinstance(response, list) and response and all(isinstance(item, dict) and "type" in item for item in response):
        try:
            parts = CONTENT.validate_python(response)
        except ValidationError:
            return [{"text": to_json(response).decode()}]
        return blocks_of(parts, where, conversion, signed=False)
    return [{"json": response} if isinstance(response, dict) else {"text": to_json(response).decode()}]


def _blob(part: BlobPart, where: str, conversion: Conversion) -> Body:
    return _media(part.modality, part.mime_type, {"bytes": part.content}, part, where, conversion)


def _uri(part: UriPart, where: str, conversion: Conversion) -> Body:
    if found := DATA_URI.fullmatch(part.uri):
        return _media(part.modality, part.mime_type or found["mime"], {"bytes": found["content"]}, part, where, conversion)
    if not part.uri.startswith("s3://"):
        raise Unconvertible(f"{where}: {conversion.kind.type} fetches s3:// alone; send the {part.modality} as a blob")
    owner = (part.provider_data or {}).get("bucketOwner")
    location = {"uri": part.uri, **({"bucketOwner": owner} if owner else {})}
    return _media(part.modality, part.mime_type, {"s3Location": location}, part, where, conversion)


def _media(modality: Modality, mime_type: str | None, source: Body, part: Part, where: str, conversion: Conversion) -> Body:
    uri = source.get("s3Location", {}).get("uri", "")
    suffix = uri.rpartition(".")[2].lower() if "." in uri else ""
    form = FORMATS.get((mime_type or "").partition(";")[0].strip().lower()) or SUFFIXES.get(suffix, suffix)
    if not form:
        raise Unconvertible(f"{where}: {conversion.kind.type} takes no {modality} of type {mime_type!r}; send one of another type")
    if modality != "document":
        return {modality: {"format": form, "source": source}}
    given = part.provider_data or {}
    name = NOT_IN_NAMES.sub(" ", str(given.get("name") or given.get("filename") or given.get("title") or where)).strip()
    more = {field: given[field] for field in ("context", "citations") if given.get(field) is not None}
    return {"document": {"format": form, "name": name[:200], "source": source, **more}}


def _file(part: FilePart, where: str, conversion: Conversion) -> Body:
    raise Unconvertible(f"{where}: {conversion.kind.type} keeps no files; send a blob or an s3:// uri")


BY_TYPE: dict[str, Callable[[Any, str, Conversion], Body]] = {
    "text": _text,
    "tool_call": _tool_use,
    "tool_call_response": _tool_result,
    "blob": _blob,
    "uri": _uri,
    "file": _file,
}
