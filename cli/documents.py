"""Documents out of a folder or a file of lines, as they are published."""

import hashlib
import json
import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import typer
from pydantic import ValidationError

from cli.session import Failure
from contracts.base import DOCUMENT_ID
from contracts.document import DocumentV1

TYPES = {".md": "text/markdown", ".rst": "text/x-rst", ".yaml": "text/yaml", ".yml": "text/yaml", ".toml": "text/toml", ".json": "application/json"}
TEXTUAL = ("text/", "application/json", "application/xml")
UNSEEN = (".git", ".venv", "node_modules", "__pycache__")


@dataclass(frozen=True)
class Publishable:
    """A document's id and the bytes of its message, which are the same for the same document."""

    id: str
    body: bytes
    deletes: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


def documents_of(place: Path, body_limit: int) -> Iterator[Publishable | str]:
    """Every document of a folder or of a file of lines; a text says what was left out and why. Raises Failure for a line that is no document."""
    for found in _of_folder(place) if place.is_dir() else _of_lines(place):
        if isinstance(found, Publishable) and len(found.body) > body_limit:
            yield f"{found.id}: {len(found.body)} bytes are more than the server takes ({body_limit})"
        else:
            yield found


def _of_folder(folder: Path) -> Iterator[Publishable | str]:
    """Each text file; its id is made from its path in the folder, and its path is its uri."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if not path.is_file() or any(part in UNSEEN for part in inside.parts):
            continue
        mime_type = TYPES.get(path.suffix.lower()) or mimetypes.guess_type(path.name)[0] or "text/plain"
        if not mime_type.startswith(TEXTUAL):
            yield f"{inside}: {mime_type} is no text"
            continue
        try:
            content = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            yield f"{inside}: not UTF-8"
            continue
        document_id = hashlib.sha256(inside.as_posix().encode(errors="surrogateescape")).hexdigest()[:32]
        uri = inside.as_posix().encode(errors="replace").decode()
        yield publishable(DocumentV1(id=document_id, uri=uri, mime_type=mime_type, content=content))


def _of_lines(file: Path) -> Iterator[Publishable | str]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield publishable(DocumentV1.model_validate_json(line))
            except ValidationError as error:
                first = error.errors(include_input=False)[0]
                raise Failure(f"{file}, line {number}: {'.'.join(map(str, first['loc'])) or 'not a document'}: {first['msg']}") from error


def publishable(document: DocumentV1) -> Publishable:
    body = json.dumps(document.model_dump(mode="json", exclude_unset=True), ensure_ascii=False).encode()
    return Publishable(document.id, body, document.operation == "delete")


def collection_of(name: str) -> str:
    """A collection's name. Raises BadParameter."""
    if not DOCUMENT_ID.match(name):
        raise typer.BadParameter(f"{name!r} is not a collection: letters, digits, '_' and '-', at most 64", param_hint="--collection")
    return name
