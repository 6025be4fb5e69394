"""What a tool answered, where it is a list of parts (text, blob, uri, file): so a tool can answer with images."""

from typing import Any

from pydantic import TypeAdapter, ValidationError

from contracts.content import BlobPart, FilePart, Part, TextPart, UriPart

CONTENT = TypeAdapter(tuple[Part, ...])


def parts_in(response: Any) -> tuple[TextPart | BlobPart | UriPart | FilePart, ...]:
    """The parts; none, where the response is anything else."""
    if not isinstance(response, list) or not all(isinstance(item, dict) and "type" in item for item in response):
        return ()
    try:
        parts = CONTENT.validate_python(response)
    except ValidationError:
        return ()
    held = tuple(part for part in parts if isinstance(part, TextPart | BlobPart | UriPart | FilePart))
    return held if len(held) == len(parts) else ()
