"""Text, images, sound and documents as content blocks."""

from contracts.content import BlobPart, FilePart, Part, ReasoningPart, ServerToolCallPart, ServerToolCallResponsePart, TextPart, UriPart

from ..conversion import Unconvertible
from ..protocol import Body
from .quirks import Wording, marks

AUDIO_FORMATS = {"audio/x-wav": "wav", "audio/wave": "wav", "audio/vnd.wave": "wav", "audio/mpeg": "mp3", "audio/x-mp3": "mp3", "audio/x-flac": "flac"}


def text_block(part: TextPart, conversion: Wording) -> Body:
    return {"type": "text", "text": part.content, **marks(part, conversion)}


def block_of(part: Part, where: str, conversion: Wording) -> Body | None:
    """A part of a user's or a system's turn; None where it was left out. Raises Unconvertible."""
    if isinstance(part, TextPart):
        return text_block(part, conversion)
    if isinstance(part, FilePart):
        return {"type": "file", "file": {"file_id": part.file_id}, **marks(part, conversion)}
    if isinstance(part, UriPart):
        return {**_uri_block(part, where, conversion), **marks(part, conversion)}
    if isinstance(part, BlobPart):
        return {**_blob_block(part, where, conversion), **marks(part, conversion)}
    if isinstance(part, ReasoningPart | ServerToolCallPart | ServerToolCallResponsePart):
        conversion.dropped(f"part of type {part.type!r}")
        return None
    raise Unconvertible(f"{where}: {conversion.kind.type} takes no {part.type!r} part in this turn")


def _uri_block(part: UriPart, where: str, conversion: Wording) -> Body:
    if part.modality in conversion.kind.media_urls:
        return _url_block(part, part.uri, conversion)
    if part.modality == "document" and conversion.quirks.document_block == "file_url":
        return {"type": "file_url", "file_url": {"url": part.uri}}
    if part.modality == "document" and conversion.quirks.file_urls:
        return _file_block(part, part.uri)
    raise Unconvertible(f"{where}: {conversion.kind.type} takes no {part.modality} by uri; send it as a blob or to another provider")


def _blob_block(part: BlobPart, where: str, conversion: Wording) -> Body:
    data_url = f"data:{part.mime_type};base64,{part.content}"
    if part.modality == "audio":
        subtype = AUDIO_FORMATS.get(part.mime_type, part.mime_type.partition("/")[2])
        return {"type": "input_audio", "input_audio": {"data": part.content, "format": subtype}}
    if part.modality in conversion.kind.media_urls:
        return _url_block(part, data_url, conversion)
    if part.modality == "document" and conversion.quirks.document_block == "file_url":
        return {"type": "file_url", "file_url": {"url": part.content}}
    if part.modality == "document":
        return _file_block(part, data_url)
    raise Unconvertible(f"{where}: {conversion.kind.type} takes no {part.modality}; send it to another provider")


def _file_block(part: BlobPart | UriPart, data: str) -> Body:
    name = (part.provider_data or {}).get("filename", "document.pdf" if part.mime_type == "application/pdf" else "document")
    return {"type": "file", "file": {"filename": name, "file_data": data}}


def _url_block(part: BlobPart | UriPart, url: str, conversion: Wording) -> Body:
    name = f"{part.modality}_url"
    if part.modality in conversion.quirks.plain_urls:
        return {"type": name, name: url}
    detail = (part.provider_data or {}).get("detail")
    return {"type": name, name: {"url": url, "detail": detail} if isinstance(detail, str) else {"url": url}}
