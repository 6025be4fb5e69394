"""What `headrace cost rebuild` and `headrace cost reprice` do: the ledger opened from here, beside the meters that write it."""

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from sqlalchemy.exc import DBAPIError

from bus import configuration
from bus.connection import Bus
from bus.errors import Unavailable
from catalog.models import Catalog
from cli.session import Failure, Session
from cli.show import as_json, console, escaped, money, notes
from services.meter import rebuild as rebuilding
from services.meter import reprice as repricing
from services.meter.ledger import SETTING, Ledger
from services.meter.report import Choice
from services.meter.repricing import Comparison, total
from storage.database import UnusableDatabase


async def rebuild(session: Session, url: str | None) -> int:
    """Exit code 1 where a message could not be read. Raises Failure, Unavailable."""
    async with session.bus() as bus:
        with _opened(await _url(bus, url)) as ledger, progress("rebuild", await rebuilding.measure(bus)) as advance:
            done = await rebuilding.rebuild(bus, ledger, advance)
            rows = await asyncio.to_thread(ledger.count)
    for line in done.unreadable:
        notes().print(f"left out, not readable: {line}", markup=False)
    if session.json:
        as_json({"attempts": done.attempts, "costs": done.costs, "unreadable": done.unreadable_count, "rows": rows})
    else:
        print(f"read {done.costs} costs and {done.attempts} attempts, {done.unreadable_count} not readable; the ledger has {rows} calls")
    return 1 if done.unreadable_count else 0


async def reprice(session: Session, url: str | None, choice: Choice, write: bool) -> int:
    """Show both sides of the comparison, then write. Raises Failure, Unavailable."""
    async with session.bus() as bus:
        found = await configuration.read(bus)
        if found is None:
            raise Failure("no configuration was pushed yet, so no model has a price: run 'headrace config push headrace.yaml'")
        catalog, filters = Catalog(found[0], revision=found[1]), choice.filters()
        with _opened(await _url(bus, url)) as ledger:
            await asyncio.to_thread(ledger.create)
            calls = await asyncio.to_thread(ledger.count, *filters)
            with progress("compare", calls) as advance:
                compared = await asyncio.to_thread(repricing.compare, ledger, catalog, filters, advance)
            if not session.json:
                console().print(_table(compared))
            written = 0
            if write and total(compared).changed:
                filters += repricing.changing(compared)
                with progress("write", await asyncio.to_thread(ledger.count, *filters)) as advance:
                    written = await repricing.write(bus, ledger, catalog, filters, datetime.now(UTC), advance)
    if session.json:
        rows = [{"provider": names[0], "model": names[1], **sums.plain()} for names, sums in compared.items()]
        as_json({"rows": rows, "total": total(compared).plain(), "price_version": f"config@{found[1]}", "written": written})
    elif write:
        print(f"{written} calls corrected, in the ledger and in COSTS")
    else:
        print("nothing was changed: add --write to correct the ledger")
    return 0


def _table(compared: Comparison) -> Table:
    table = Table(title="Costs at the prices of now", show_footer=True)
    whole = total(compared)
    last = whole.new_usd - whole.old_usd
    footers = ("", "", str(whole.calls), str(whole.changed), money(whole.old_usd), money(whole.new_usd), _signed(last), "")
    for name, footer in zip(("provider", "model", "calls", "changed", "old", "new", "difference", "kept"), footers, strict=True):
        table.add_column(name, footer, justify="left" if name in ("provider", "model", "kept") else "right")
    for (provider, model), sums in compared.items():
        kept = ", ".join(f"{count} {why}" for why, count in sorted(sums.kept.items()))
        table.add_row(
            provider,
            escaped(model),
            str(sums.calls),
            str(sums.changed),
            money(sums.old_usd),
            money(sums.new_usd),
            _signed(sums.new_usd - sums.old_usd),
            kept,
        )
    return table


def _signed(difference: Any) -> str:
    return f"{'-' if difference < 0 else '+' if difference else ''}{money(abs(difference))}"


async def _url(bus: Bus, given: str | None) -> str:
    """Where the ledger is. Raises Failure where nobody says it, or the file that the meter writes is not on this machine."""
    url = given or os.environ.get(SETTING)
    if url:
        return url
    fix = f"give --ledger URL, or set {SETTING} as for the meter"
    try:
        told = json.loads((await bus.request(bus.subjects.query("ledger"), b"")).data)
    except Unavailable as error:
        raise Failure(f"no meter answers that could say where its ledger is: {fix}") from error
    file = told.get("file")
    if file is None:
        raise Failure(f"the meter keeps its ledger in {told.get('kept_in')!r}, whose URL it does not tell: {fix}")
    if not Path(file).exists():
        raise Failure(f"the meter's ledger is {file!r} on its own machine, not on this one: run this command there, or {fix}")
    return f"sqlite:///{file}"


@contextmanager
def _opened(url: str) -> Iterator[Ledger]:
    """The ledger while the block runs; what the database refuses is a Failure."""
    try:
        ledger = Ledger(url)
    except UnusableDatabase as error:
        raise Failure(str(error)) from error
    try:
        yield ledger
    except DBAPIError as error:
        raise Failure(f"the ledger cannot be used: {error.orig}") from error
    finally:
        ledger.close()


@contextmanager
def progress(what: str, total: int) -> Iterator[Any]:
    """A bar on stderr; yields the function that is told how far the work went."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=notes()) as bar:
        line = bar.add_task(what, total=total)
        yield lambda count: bar.advance(line, count)
