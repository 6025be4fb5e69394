"""`headrace backup` and `headrace restore`: streams with their consumers' places, and the services' databases."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from bus import backup as saving
from bus import manifest as manifests
from bus import restoring
from bus.connection import Bus
from bus.manifest import BadBackup, Manifest, SavedDatabase, SavedStream
from bus.provision import Sizing, provision
from bus.restoring import NotEmpty
from bus.server import EmbeddedServer
from bus.snapshots import Json, state_of
from cli.doctor import own_version
from cli.session import CONNECT_TIMEOUT_S, Failure, Session, run, session_of
from cli.show import as_json, notes
from cli.up import locked

Folder = Annotated[Path, typer.Argument(help="The backup's folder.", file_okay=False)]
NoDatabases = Annotated[bool, typer.Option("--no-databases", help="Streams only.")]


def register(app: typer.Typer) -> None:
    app.command("backup")(backup)
    app.command("restore")(restore)


def backup(
    context: typer.Context,
    folder: Folder,
    streams: Annotated[str, typer.Option(help="Only these, with commas; whole systems are restored from all.")] = "",
    no_databases: NoDatabases = False,
) -> None:
    """Save streams, consumers' places and databases into a new folder, while everything runs."""
    chosen = [name.strip() for name in streams.split(",") if name.strip()]
    run(_guarded(_backup(session_of(context), folder, chosen, not no_databases)))


def restore(
    context: typer.Context,
    folder: Folder,
    data_dir: Annotated[Path | None, typer.Option(help="Into this data directory of 'headrace up', which does not run.", file_okay=False)] = None,
    replicas: Annotated[int | None, typer.Option(help="Copies of each stream from now on: 1, 3 or 5; else as they were.", min=1, max=5)] = None,
    no_databases: NoDatabases = False,
    replace: Annotated[bool, typer.Option("--replace", help="Delete what is there first.")] = False,
) -> None:
    """Bring a backup into an empty server, services stopped; they go on when they are started. Files are checked first."""
    session = session_of(context)
    if data_dir is not None and session.nats:
        raise typer.BadParameter("give --data-dir or --nats, not both", param_hint="--data-dir")
    run(_guarded(_restore(session, folder, data_dir, replicas, not no_databases, replace)))


async def _guarded(work: Any) -> int:
    try:
        return int(await work)
    except (BadBackup, NotEmpty) as error:
        raise Failure(str(error)) from error


async def _backup(session: Session, folder: Path, chosen: list[str], with_databases: bool) -> int:
    began_at = datetime.now(UTC)
    async with session.bus() as bus:
        names = saving.order(bus.subjects.root, chosen)
        from cli import databases  # SQLAlchemy takes a while that no other command should pay

        found = await databases.places(bus) if with_databases else []
        claims_after = (await state_of(bus, "JOURNAL") or {}).get("last_seq", 0)
        positions = await saving.positions(bus, names)
        manifests.begin(folder)
        streams: list[SavedStream] = []
        copies: list[SavedDatabase] = []
        with _bars() as bar:
            for name in names:
                if streams or name not in saving.FIRST:  # databases between the calls and the attempts that fill them
                    copies = copies or [await asyncio.to_thread(databases.copied, place, folder) for place in found]
                expected = (await state_of(bus, name) or {}).get("bytes", 0)
                with bar(name, expected) as advance:
                    streams.append(await saving.save(bus, name, folder, advance))
        manifest = Manifest(
            headrace=own_version(),
            server=str(bus.nc.connected_server_version),
            root=bus.subjects.root,
            began_at=began_at,
            ended_at=datetime.now(UTC),
            claims_after=claims_after,
            positions=positions,
            streams=streams,
            databases=copies,
        )
    size = await asyncio.to_thread(manifests.seal, folder, manifest)
    _tell(session, {"folder": str(folder), "bytes": size, **_contents(manifest)}, f"saved into {folder}, {size} bytes")
    return 0


async def _restore(session: Session, folder: Path, data_dir: Path | None, replicas: int | None, with_databases: bool, replace: bool) -> int:
    with _bars() as bar, bar("check", await asyncio.to_thread(manifests.size, folder)) as advance:
        manifest = await asyncio.to_thread(manifests.opened, folder, advance)
    from cli import databases  # SQLAlchemy takes a while that no other command should pay

    files = databases.targets(manifest.databases if with_databases else [], data_dir, replace)
    names = [stream.name for stream in manifest.streams]
    async with _server_of(session, data_dir) as bus:
        if bus.subjects.root != manifest.root:
            raise Failure(f"the backup is of subjects under {manifest.root!r}, not {bus.subjects.root!r}")
        there = await restoring.check_room(bus, names, replace)
        await restoring.clear(bus, there)
        states: dict[str, Json] = {}
        with _bars() as bar:
            for stream in manifest.streams:
                with bar(stream.name, (folder / stream.file).stat().st_size) as advance:
                    states[stream.name] = await restoring.bring_back(bus, stream, folder, replicas, advance)
        again = databases.begin_again(one.name for one, _ in files)
        for position in manifest.positions:
            known = 0 if position.config["durable_name"] in again else position.acknowledged
            await restoring.bring_to(bus, position.model_copy(update={"acknowledged": known}), replicas)
        dropped = await restoring.drop_orphaned_claims(bus, manifest)
        mended = await provision(bus, Sizing(replicas))
    for database, file in files:
        await asyncio.to_thread(databases.put_back, database, folder, file)
    report = {"folder": str(folder), **_contents(manifest), "claims_dropped": dropped, "mended": mended, "files": {one.name: str(file) for one, file in files}}
    _tell(session, report, f"restored from {folder}, as of {manifest.began_at.isoformat(timespec='seconds')}; services may start")
    return 0


def _contents(manifest: Manifest) -> Json:
    streams = [
        {"name": one.name, "messages": one.state["messages"], "bytes": one.state["bytes"], "stored_meanwhile": one.tail_messages} for one in manifest.streams
    ]
    return {"streams": streams, "databases": [{"name": one.name, "kept_in": one.kept_in, "rows": one.rows} for one in manifest.databases]}


def _tell(session: Session, report: Json, last_line: str) -> None:
    if session.json:
        as_json(report)
        return
    for stream in report["streams"]:
        print(f"{stream['name']:<14} {stream['messages']:>9} messages {stream['bytes']:>12} bytes")
    for database in report["databases"]:
        rows = ", ".join(f"{count} {table}" for table, count in database["rows"].items())
        print(f"{database['name']:<14} {rows or 'kept in ' + database['kept_in'] + ': not in this backup, dump it with its own tools (pg_dump)'}")
    for line in report.get("mended", []):
        print(line)
    print(last_line)


@asynccontextmanager
async def _server_of(session: Session, data_dir: Path | None) -> AsyncIterator[Bus]:
    """The session's server, or that of a data directory for as long as the block runs."""
    if data_dir is None:
        async with session.bus() as bus:
            yield bus
        return
    with locked(data_dir):
        server = EmbeddedServer((data_dir / "nats").resolve())
        await asyncio.to_thread(server.start)
        bus = session.unconnected(server.url, "headrace-cli")
        try:
            await bus.connect(timeout_s=CONNECT_TIMEOUT_S)
            yield bus
            await bus.close()
        finally:
            await asyncio.to_thread(server.stop)


Advance = Callable[[int], None]
Bars = Callable[[str, int], Any]


@contextmanager
def _bars() -> Iterator[Bars]:
    """Bars on stderr, one a stream: bytes, and how long it will take."""
    columns = (TextColumn("{task.description:<14}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=notes()) as progress:

        @contextmanager
        def bar(what: str, expected: int) -> Iterator[Advance]:
            line: TaskID = progress.add_task(what, total=max(expected, 1))
            yield lambda count: progress.advance(line, count)
            done = progress.tasks[line].completed
            progress.update(line, total=done, completed=done)  # snapshots are compressed: what was expected was the most

        yield bar
