"""`headrace watch`: lanes, providers, spending and what went wrong, live."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Protocol

import typer
from rich.console import Console
from rich.live import Live

from cli.session import Failure, Session, run, session_of
from cli.watching.reading import LOST, Watch
from cli.watching.screen import Moment, line, screen

AWAY = "the server is away, waiting for it"


class Output(Protocol):
    def __call__(self, moment: Moment) -> None: ...


def register(app: typer.Typer) -> None:
    app.command("watch")(watch)


def watch(
    context: typer.Context,
    interval: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.2, max=3600)] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Listen for one interval, show it, and end.")] = False,
) -> None:
    """Lanes, providers, cost, dead letters and notices until Ctrl-C. With --json an object a line; without a terminal a line a look."""
    run(_watch(session_of(context), interval, once))


async def _watch(session: Session, interval_s: float, once: bool) -> int:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with session.bus() as bus:
        watching = Watch(bus, session.tenant_given)
        await watching.begin()
        try:
            with _output(session.json, once) as show:
                await _follow(watching, show, stopped, interval_s, once)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read has seen enough
        finally:
            await watching.end()
    return 0


async def _follow(watching: Watch, show: Output, stopped: asyncio.Event, interval_s: float, once: bool) -> None:
    """Look and show until stopped. Raises Failure where the one look of `once` finds nothing."""
    ending = asyncio.create_task(stopped.wait())
    last = Moment(watching.url, datetime.now(UTC), None)
    while True:
        if once or last.read_at or last.problem:  # the first look of many is at once
            await asyncio.wait({ending}, timeout=interval_s)
        looking = asyncio.create_task(_look(watching, last))
        await asyncio.wait({ending, looking}, return_when=asyncio.FIRST_COMPLETED)
        if ending.done():
            looking.cancel()
            return
        last = looking.result()
        if once and last.problem:
            raise Failure(last.problem)
        show(last)
        if once:
            ending.cancel()
            return


async def _look(watching: Watch, last: Moment) -> Moment:
    """What is to be shown now; what cannot be read leaves the last figures, marked."""
    now = datetime.now(UTC)
    if not watching.connected:
        return Moment(watching.url, now, last.figures, AWAY, last.read_at)
    try:
        return Moment(watching.url, now, await watching.look(), None, now)
    except LOST as error:
        return Moment(watching.url, now, last.figures, (str(error) or type(error).__name__) if watching.connected else AWAY, last.read_at)


@contextmanager
def _output(as_json: bool, once: bool) -> Iterator[Output]:
    """JSON lines; a screen of its own on a terminal; else plain lines."""
    console = Console()
    if as_json:
        yield lambda moment: print(json.dumps(moment.as_json(), ensure_ascii=False), flush=True)
    elif not console.is_terminal:
        yield lambda moment: print(line(moment), flush=True)
    elif once:
        yield lambda moment: console.print(screen(moment, console.width, console.height))
    else:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            yield lambda moment: live.update(screen(moment, console.width, console.height), refresh=True)
