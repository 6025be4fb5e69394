"""A ledger of a million calls, rebuilt and priced again on SQLite and PostgreSQL: `python -m bench.ledger [--calls N]`; the last line is JSON."""

import argparse
import asyncio
import json
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nats.aio.msg import Msg

from bench.calls import NEW, Totals, configuration, messages
from bus.connection import Bus
from bus.provision import provision
from bus.server import EmbeddedServer
from catalog.models import Catalog
from cli.ledgers import progress
from contracts.config import ConfigV1
from services.meter.ledger import Ledger
from services.meter.rebuild import measure, rebuild
from services.meter.report import CostQuestion, report
from services.meter.reprice import changing, compare, write
from services.meter.repricing import total
from tests.support.postgres import Postgres

WINDOW = 4000
"""Messages published and not yet acknowledged."""
Figures = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.ledger")
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=4)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(measured(options.calls, options.seed))))


async def measured(count: int, seed: int) -> Figures:
    """All figures. Raises AssertionError where any total differs from plain arithmetic."""
    began = time.perf_counter()
    with TemporaryDirectory(prefix="headrace-bench-") as folder, _servers(Path(folder)) as (url, postgres_url):
        bus = Bus(url, name="bench")
        await bus.connect(timeout_s=10)
        await provision(bus)
        totals = Totals()
        figures: Figures = {"calls": count, "feed_s": await _timed(_feed(bus, count, seed, totals)), "rss_fed_mb": _peak_rss_mb()}
        catalog = Catalog(ConfigV1.model_validate(configuration(NEW)), revision=2)
        ledgers = {"sqlite": Ledger(f"sqlite:///{folder}/ledger.db"), "postgresql": Ledger(postgres_url)}
        for name, ledger in ledgers.items():
            figures[name] = await _rebuilt(name, bus, ledger, totals)
        for name, ledger in ledgers.items():  # not before both are rebuilt: the first run's corrections are in COSTS
            figures[name] |= await _repriced(name, bus, ledger, catalog, totals)
            ledger.close()
        await bus.close()
    usd = {"old_usd": f"{sum(totals.old_usd.values()):f}", "new_usd": f"{sum(totals.new_usd.values()):f}"}
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = {"cpu_s": round(used.ru_utime + used.ru_stime, 1), "seconds": round(time.perf_counter() - began, 1)}
    return {**figures, **usd, "equal": True, "peak_rss_mb": _peak_rss_mb(), **spent}


@contextmanager
def _servers(folder: Path) -> Iterator[tuple[str, str]]:
    nats, postgres = EmbeddedServer(folder / "nats"), Postgres()
    try:
        nats.start()
        postgres.start()
        yield nats.url, postgres.database()
    finally:
        nats.stop()
        postgres.remove()


async def _feed(bus: Bus, count: int, seed: int, totals: Totals) -> None:
    """Publish every message, many in flight, and wait until the server has stored all of them."""
    inbox, free = bus.nc.new_inbox(), asyncio.Semaphore(WINDOW)
    refused: list[bytes] = []

    async def acknowledged(message: Msg) -> None:
        if b'"error"' in message.data or message.headers:
            refused.append(message.data)
        free.release()

    subscription = await bus.nc.subscribe(inbox, cb=acknowledged, pending_msgs_limit=-1, pending_bytes_limit=-1)
    with progress("publish", count) as advance:
        for number, (subject, body) in enumerate(messages(count, seed, totals)):
            await free.acquire()
            await bus.nc.publish(subject, body, reply=inbox)
            if number % 1000 == 999:
                advance(1000)
        for _ in range(WINDOW):
            await asyncio.wait_for(free.acquire(), 30)
    await subscription.unsubscribe()
    assert not refused, refused[0]


async def _rebuilt(name: str, bus: Bus, ledger: Ledger, totals: Totals) -> Figures:
    """The sums are those of plain arithmetic."""
    count = sum(totals.calls.values())
    with progress(f"{name}: rebuild", await measure(bus)) as advance:
        rebuild_s = await _timed(rebuild(bus, ledger, advance))
    figures = {"rebuild_s": rebuild_s, "rebuild_rows_per_s": round(count / rebuild_s), "rss_rebuilt_mb": _peak_rss_mb()}
    report_s = await _timed(asyncio.to_thread(_check, ledger, totals.calls, totals.old_usd))
    return {**figures, "report_s": report_s}


async def _repriced(name: str, bus: Bus, ledger: Ledger, catalog: Catalog, totals: Totals) -> Figures:
    """Compared, then written: both sides of the comparison and the sums afterwards are those of plain arithmetic."""
    count = sum(totals.calls.values())
    with progress(f"{name}: compare", count) as advance:
        began = time.perf_counter()
        compared = await asyncio.to_thread(compare, ledger, catalog, [], advance)
        compare_s = round(time.perf_counter() - began, 2)
    whole, filters = total(compared), changing(compared)
    assert (whole.old_usd, whole.new_usd) == (sum(totals.old_usd.values()), sum(totals.new_usd.values()))
    with progress(f"{name}: write", ledger.count(*filters)) as advance:
        write_s = await _timed(write(bus, ledger, catalog, filters, datetime.now(UTC), advance))
    _check(ledger, totals.calls, totals.new_usd)
    rows_per_s = round(count / (compare_s + write_s))
    return {"compare_s": compare_s, "write_s": write_s, "reprice_rows_per_s": rows_per_s, "corrected": whole.changed}


def _check(ledger: Ledger, calls: dict[tuple[str, str], int], usd: dict[tuple[str, str], Decimal]) -> None:
    rows = report(ledger.engine, CostQuestion(by=("tenant", "model")))["rows"]
    found = {(row["tenant"], row["model"]): (row["calls"], Decimal(row["cost_usd"])) for row in rows}
    assert found == {key: (calls[key], usd[key]) for key in calls}


async def _timed(work: Any) -> float:
    began = time.perf_counter()
    await work
    return round(time.perf_counter() - began, 2)


def _peak_rss_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


if __name__ == "__main__":
    main()
