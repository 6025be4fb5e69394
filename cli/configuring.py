"""`headrace config`: check a file, push it to all processes, show what they use."""

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from bus import configuration
from bus.configuration import BadConfiguration
from catalog.kinds import kinds
from cli.session import Failure, Session, fail, run, session_of
from cli.show import as_json
from contracts.config import ConfigV1

app = typer.Typer(help="The shared configuration: check, push, show, migrate.", no_args_is_help=True)

ConfigFile = Annotated[Path, typer.Argument(help="The configuration, YAML or JSON.", exists=True, dir_okay=False)]


def checked(text: str) -> ConfigV1:
    """The configuration of a text under every rule of `push`. Raises BadConfiguration."""
    config = configuration.load(text)
    known = kinds()
    problems = [
        f"providers.{index}.type: {provider.type!r} is not known; use one of {', '.join(sorted(known))}"
        for index, provider in enumerate(config.providers)
        if provider.type not in known
    ]
    if problems:
        raise BadConfiguration(problems)
    return config


@app.command("check")
def check(context: typer.Context, file: ConfigFile = Path("headrace.yaml")) -> None:
    """Say what is wrong with a file, one line an error; needs no server and no secret."""
    session = session_of(context)
    try:
        config = checked(text_of_file(file))
    except BadConfiguration as error:
        if session.json:
            as_json({"ok": False, "problems": error.problems})
            raise typer.Exit(1) from None
        fail(*error.problems)
    if session.json:
        as_json({"ok": True, "problems": []})
    else:
        print(f"{file} is valid: {len(config.providers)} provider(s), {len(config.routes)} route(s)")


@app.command("push")
def push(context: typer.Context, file: ConfigFile = Path("headrace.yaml")) -> None:
    """Make a file the configuration of all processes; a refused one leaves the old in place."""
    run(_push(session_of(context), file))


async def _push(session: Session, file: Path) -> int:
    text = text_of_file(file)
    checked(text)
    async with session.bus() as bus:
        revision = await configuration.push(bus, text)
    if session.json:
        as_json({"revision": revision})
    else:
        print(f"pushed as revision {revision}; every process takes it within seconds")
    return 0


@app.command("show")
def show(context: typer.Context) -> None:
    """The configuration in use, keys and credentials hidden."""
    run(_show(session_of(context)))


async def _show(session: Session) -> int:
    config, revision = await in_use(session)
    document: dict[str, Any] = configuration.redacted(config)
    if session.json:
        as_json(document)
    else:
        print(f"# revision {revision}\n{yaml.safe_dump(document, sort_keys=False, allow_unicode=True)}", end="")
    return 0


async def in_use(session: Session) -> tuple[ConfigV1, int]:
    """What KV holds. Raises Failure where nothing was pushed yet."""
    async with session.bus() as bus:
        found = await configuration.read(bus)
    if found is None:
        raise Failure("no configuration was pushed yet: run 'headrace config push headrace.yaml'")
    return found


def text_of_file(file: Path) -> str:
    try:
        return file.read_bytes().decode()  # line ends as they are
    except UnicodeDecodeError as error:
        raise BadConfiguration([f"{file} is not UTF-8 text: {error.reason} at byte {error.start}"]) from error
