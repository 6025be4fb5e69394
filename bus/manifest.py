"""What a folder with a backup says of itself, and the check that nothing in it is missing, cut short or changed."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

MANIFEST, SUMS = "manifest.json", "SHA256SUMS"
READ_BYTES = 1 << 20


class BadBackup(Exception):
    """The folder cannot be restored from, or not be written to; the text names the file and says why."""


class Position(BaseModel):
    """A durable consumer and the last sequence up to which all was acknowledged."""

    stream: str
    config: dict[str, Any]
    acknowledged: int


class SavedStream(BaseModel):
    """A stream: the server's snapshot, and what was stored while the snapshot was taken where messages replace others."""

    name: str
    file: str
    config: dict[str, Any]
    state: dict[str, Any]
    tail: str | None = None
    tail_messages: int = 0


class SavedDatabase(BaseModel):
    """A database of a service. `file` is None where it is a server's, which is dumped with its own tools."""

    name: str
    kept_in: str
    place: str | None = None
    file: str | None = None
    rows: dict[str, int] = {}


class Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    headrace: str
    server: str
    root: str
    began_at: datetime
    ended_at: datetime
    claims_after: int = 0
    """The last sequence of JOURNAL before any stream was saved: later claims may be on calls that were saved no more."""
    positions: list[Position]
    streams: list[SavedStream]
    databases: list[SavedDatabase]


def begin(folder: Path) -> None:
    """Make an empty folder ready. Raises BadBackup where something lies in it."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise BadBackup(f"{str(folder)!r} is not empty: give a new folder for each backup")


def seal(folder: Path, manifest: Manifest) -> int:
    """Write the manifest, then the sums of all files: a folder without them was never finished. How many bytes there are."""
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=1))
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{sum_of(path)}  {path.relative_to(folder)}\n" for path in files]
    (folder / SUMS).write_text("".join(lines))
    return sum(path.stat().st_size for path in files)


def opened(folder: Path, advance: Callable[[int], None] = lambda _: None) -> Manifest:
    """The manifest of a backup whose every file is as it was written. `advance` hears of bytes. Raises BadBackup."""
    if not (folder / SUMS).is_file():
        raise BadBackup(f"{str(folder)!r} has no {SUMS}: it is no backup, or one that was not finished")
    expected = dict(_line(line) for line in (folder / SUMS).read_text().splitlines())
    for name, digest in expected.items():
        path = folder / name
        if not path.is_file():
            raise BadBackup(f"{str(path)!r} is missing; nothing was restored")
        if sum_of(path, advance) != digest:
            raise BadBackup(f"{str(path)!r} is not what was saved: cut short or changed (its SHA-256 differs); nothing was restored")
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_text())
    except (OSError, ValidationError) as error:
        raise BadBackup(f"{str(folder / MANIFEST)!r} cannot be read: another version of Headrace wrote it? {error}") from error
    for file in _files(manifest):
        if file not in expected:
            raise BadBackup(f"{SUMS} in {str(folder)!r} does not name {file!r}; nothing was restored")
    return manifest


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def sum_of(path: Path, advance: Callable[[int], None] = lambda _: None) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while part := content.read(READ_BYTES):
            digest.update(part)
            advance(len(part))
    return digest.hexdigest()


def _line(line: str) -> tuple[str, str]:
    digest, _, name = line.partition("  ")
    if len(digest) != 64 or not name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise BadBackup(f"{SUMS} has a line that is none of ours: {line[:100]!r}")
    return name, digest


def _files(manifest: Manifest) -> list[str]:
    streams = [file for stream in manifest.streams for file in (stream.file, stream.tail) if file]
    return [MANIFEST, *streams, *(database.file for database in manifest.databases if database.file)]
