"""Copies of a file beside it, named by the moment at which they were made, and the way back."""

import os
import shutil
from datetime import datetime
from pathlib import Path

SUFFIX = ".bak"


class NoBackup(Exception):
    """There is no such copy; the text names those there are."""


def keep(file: Path, now: datetime) -> str:
    """Copy the file beside itself, its mode with it; returns the copy's id."""
    moment = now.strftime("%Y%m%dT%H%M%SZ")
    number = 1
    while True:
        backup_id = moment if number == 1 else f"{moment}-{number}"
        try:
            with _path(file, backup_id).open("xb") as copy:
                os.fchmod(copy.fileno(), file.stat().st_mode & 0o777)
                copy.write(file.read_bytes())
                os.fsync(copy.fileno())
        except FileExistsError:
            number += 1
        else:
            return backup_id


def restore(file: Path, backup_id: str, now: datetime) -> str | None:
    """Bring the bytes of a copy back; what stood there is kept under the id that is returned. Raises NoBackup."""
    if backup_id not in ids(file):
        raise NoBackup(f"{file} has no backup {backup_id!r}; there are: {', '.join(ids(file)) or 'none'}")
    source = _path(file, backup_id)
    before = keep(file, now) if file.exists() else None
    write(file, source.read_bytes(), source)
    return before


def ids(file: Path) -> list[str]:
    """Oldest first."""
    return sorted(found.name.removeprefix(f"{file.name}.").removesuffix(SUFFIX) for found in file.parent.glob(f"{file.name}.*{SUFFIX}"))


def write(file: Path, content: bytes, like: Path | None = None) -> None:
    """All of it or nothing; a reader never sees half a file. `like`: the file whose mode it gets."""
    draft = file.with_name(f"{file.name}.{os.getpid()}.new")
    with draft.open("wb") as out:
        if like is not None and like.exists():
            shutil.copymode(like, draft)
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)


def _path(file: Path, backup_id: str) -> Path:
    return file.with_name(f"{file.name}.{backup_id}{SUFFIX}")
