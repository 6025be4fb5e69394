"""Text, images, sound and documents as content blocks."""

from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from contracts.content import BlobPart, FilePart, Part, ReasoningPart, ServerToolCallPart, ServerToolCallResponsePart, TextPart, UriPart

from ..conversion import Unconvertible
from ..openai.blocks import AUDIO_FORMATS
from ..protocol import Body
from .quirks import Wording

MARKS = ("prompt_cache_breakpoint",)
"""What a caller may write into a part's `provider_data` to be sent with its content block, where the provider knows it."""
CONTENT = TypeAdapter(tuple[Part, ...])


def block_of(part: Part, where: str, conversion: Wording) -> Body | None:
    """A part of a user's or a system's turn; None where it was left out. Raises Unconvertible."""
    if isinstance(part, ReasoningPart | ServerToolCallPart | ServerToolCallResponsePart):
        conversion.dropped(f"part of type {part.type!r}")
        return None
    return {**_block(part, where, conversion), **_marks(part, conversion)}


def _block(part: Part, where: str, conversion: Wording) -> Body:
    if isinstance(part, TextPart):
        return {"type": "input_text", "text": part.content}
    if isinstance(part, FilePart) and part.modality in ("image", "document"):
        return _image(part, "file_id", part.file_id) if part.modality == "image" else _file(part, file_id=part.file_id)
    if isinstance(part, UriPart) and part.modality in ("image", "document"):
        if part.modality == "image":
            return _image(part, "image_url", part.uri)
        return _file(part, **_named(part), file_data=part.uri) if part.uri.startswith("data:") else _file(part, file_url=part.uri)
    if isinstance(part, BlobPart):
        return _blob(part, where, conversion)
    what = getattr(part, "modality", None) or f"{part.type!r} part"
    raise Unconvertible(f"{where}: {conversion.kind.type} takes no {what} in this turn; send it to another provider")


def _blob(part: BlobPart, where: str, conversion: Wording) -> Body:
    data_url = f"data:{part.mime_type};base64,{part.content}"
    if part.modality == "image":
        return _image(part, "image_url", data_url)
    if part.modality == "document":
        return _file(part, **_named(part), file_data=data_url)
    if part.modality == "audio" and conversion.quirks.audio:
        subtype = AUDIO_FORMATS.get(part.mime_type, part.mime_type.partition("/")[2])
        return {"type": "input_audio", "input_audio": {"data": part.content, "format": subtype}}
    raise Unconvertible(f"{where}: {conversion.kind.type} takes no {part.modality}; send it to another provider")


def _image(part: Part, field: str, value: str) -> Body:
    return {"type": "input_image", "detail": (part.provider_data or {}).get("detail", "auto"), field: value}


def _file(part: Part, **fields: str) -> Body:
    detail = (part.provider_data or {}).get("detail")
    return {"type": "input_file", **fields, **({"detail": detail} if detail is not None else {})}


def _named(part: BlobPart | UriPart) -> dict[str, str]:
    """Data without a name is refused."""
    name = (part.provider_data or {}).get("filename")
    pdf = part.mime_type == "application/pdf" or (isinstance(part, UriPart) and part.uri.startswith("data:application/pdf"))
    return {"filename": name if isinstance(name, str) else "document.pdf" if pdf else "document"}


def _marks(part: Part, conversion: Wording) -> Body:
    given = {name: value for name, value in (part.provider_data or {}).items() if name in MARKS}
    for name in given.keys() - conversion.quirks.block_fields:
        conversion.dropped(f"provider_data.{name}")
    return {name: value for name, value in given.items() if name in conversion.quirks.block_fields}


def output_of(response: Any, where: str, conversion: Wording) -> str | list[Body]:
    """What a tool gave. A list of parts (text, blob, uri, file) goes as blocks, so that a tool can answer with images; anything else as text."""
    if isinstance(response, str):
        return response
    if isinstance(response, list) and response and all(isinstance(item, dict) and "type" in item for item in response):
        try:
            parts = CONTENT.validate_python(response)
        except ValidationError:
            return to_json(response).decode()
        return [block for at, part in enumerate(parts) if (block := block_of(part, f"{where}.response.{at}", conversion)) is not None]
    return to_json(response).decode()
