"""The services' databases of this machine: where each is, copied while its service writes, and put back."""

import json
import os
import shutil
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from bus.connection import Bus
from bus.errors import Unavailable
from bus.manifest import BadBackup, SavedDatabase
from cli.session import Failure
from cli.show import notes

SQLITE = "sqlite"


@dataclass(frozen=True)
class Owner:
    """Which service keeps a database, and how it is told where."""

    name: str
    service: str
    setting: str
    file: str
    """Its name in the data directory of `headrace up`."""
    again: str
    """How it is made again from the streams."""
    readers: tuple[str, ...] = ()
    """The durables that fill it, where reading from the beginning is all that it needs to be made again. It is left out where its service does not answer."""


OWNERS = (
    Owner("ledger", "meter", "HEADRACE_METER_LEDGER_URL", "headrace-ledger.db", "headrace cost rebuild"),
    Owner("index", "indexer", "HEADRACE_INDEXER_INDEX_URL", "headrace-index.db", "python -m services.indexer", ("indexer-documents", "indexer-results")),
)


@dataclass(frozen=True)
class Place:
    """A database: an SQLite file of this machine, or (no file) one that a server keeps."""

    owner: Owner
    kept_in: str
    file: Path | None


async def places(bus: Bus) -> list[Place]:
    """Where each database is: by the environment, else as its service says. Raises Failure where that is unknown or elsewhere."""
    return [place for owner in OWNERS if (place := await _place(bus, owner)) is not None]


def begin_again(files: Iterable[str]) -> set[str]:
    """The durables that must read all from the beginning, where only these databases were put back."""
    return {reader for owner in OWNERS if owner.name not in files for reader in owner.readers}


async def _place(bus: Bus, owner: Owner) -> Place | None:
    url = os.environ.get(owner.setting)
    if url:
        return place_of(owner, url)
    leave_out = "or leave databases out with --no-databases"
    try:
        told = json.loads((await bus.request(bus.subjects.query(owner.name), b"")).data)
    except Unavailable as error:
        if owner.readers:
            why = f"no {owner.service} answers and {owner.setting} is not set"
            notes().print(f"{why}: the {owner.name} is left out; after a restore it is made again from the streams", markup=False, soft_wrap=True)
            return None
        raise Failure(
            f"no {owner.service} answers that could say where its {owner.name} is: set {owner.setting} as for the {owner.service}, {leave_out}"
        ) from error
    if told.get("file") is None:
        return Place(owner, told.get("kept_in", ""), None)
    if not Path(told["file"]).exists():
        elsewhere = f"the {owner.name} is {told['file']!r} on the {owner.service}'s own machine, not on this one"
        raise Failure(f"{elsewhere}: run this command there, {leave_out} ('{owner.again}' makes it again)")
    return Place(owner, SQLITE, Path(told["file"]))


def place_of(owner: Owner, url: str) -> Place:
    """Raises Failure where the URL cannot be read; its text may hold a password and is not told."""
    try:
        wanted = make_url(url)
    except ArgumentError:
        raise Failure(f"{owner.setting} cannot be read: set it to a sqlite:///FILE or postgresql:// URL") from None
    backend = wanted.get_backend_name()
    return Place(owner, backend, Path(wanted.database or "").resolve() if backend == SQLITE else None)


def copied(place: Place, folder: Path) -> SavedDatabase:
    """A consistent copy as of one moment; whoever writes the database goes on meanwhile. Raises Failure."""
    owner = place.owner
    if place.file is None:
        return SavedDatabase(name=owner.name, kept_in=place.kept_in)
    if not place.file.is_file():
        raise Failure(f"the {owner.name} {str(place.file)!r} does not exist: set {owner.setting} as for the {owner.service}")
    name = f"{owner.name}.sqlite"
    try:
        with closing(sqlite3.connect(f"{place.file.as_uri()}?mode=ro", uri=True)) as source, closing(sqlite3.connect(folder / name)) as copy:
            source.backup(copy)  # in one step: the same pages, as one reader sees them
            copy.execute("PRAGMA journal_mode=DELETE")
            rows = _rows(copy)
    except sqlite3.Error as error:
        raise Failure(f"the {owner.name} {str(place.file)!r} cannot be copied: {error}") from error
    return SavedDatabase(name=owner.name, kept_in=SQLITE, place=str(place.file), file=name, rows=rows)


def _rows(connection: sqlite3.Connection) -> dict[str, int]:
    """Rows by table, those of the file itself."""
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND sql NOT LIKE 'CREATE VIRTUAL%'")
    return {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for (name,) in tables.fetchall()}


def targets(saved: Sequence[SavedDatabase], data_dir: Path | None, replace: bool) -> list[tuple[SavedDatabase, Path]]:
    """Where each saved file goes: by the environment, else into the data directory, else where it came from. Raises Failure, BadBackup."""
    owners, found = {owner.name: owner for owner in OWNERS}, []
    for database in saved:
        if database.file is None:
            continue
        owner = owners.get(database.name)
        if owner is None:
            raise BadBackup(f"the backup has a database {database.name!r} that this version does not know; restore it with the version that wrote it")
        url = os.environ.get(owner.setting)
        file = place_of(owner, url).file if url else data_dir / owner.file if data_dir else Path(database.place or owner.file)
        if file is None:
            raise Failure(f"the saved {owner.name} is an SQLite file and {owner.setting} names a server: give --no-databases, then run '{owner.again}'")
        if file.exists() and file.stat().st_size and not replace:
            raise Failure(f"{str(file)!r} exists: move it away, or give --replace, which overwrites it")
        found.append((database, file))
    return found


def put_back(database: SavedDatabase, folder: Path, file: Path) -> None:
    """The saved file in its place, whole or not at all. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(file.name + ".restoring")
    shutil.copyfile(folder / str(database.file), beside)
    for left in ("-wal", "-shm"):  # of the file that was there: they would be read into the new one
        file.with_name(file.name + left).unlink(missing_ok=True)
    beside.replace(file)
