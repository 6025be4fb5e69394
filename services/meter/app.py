"""Where the meter's parts meet."""

import asyncio

import structlog
from sqlalchemy.exc import OperationalError

from bus.application import Application
from services.meter.handlers import Handlers
from services.meter.ledger import Ledger
from services.meter.settings import MeterSettings
from storage.database import UnusableDatabase

log = structlog.get_logger()

OPEN_TRIES = 20
OPEN_PAUSE_S = 0.25


def build(app: Application, settings: MeterSettings) -> None:
    """Consume every attempt, answer questions about costs. Raises SystemExit where the ledger cannot be kept as configured."""
    try:
        ledger = Ledger(settings.url)
    except UnusableDatabase as error:
        raise SystemExit(f"headrace: {error}") from error
    handlers = Handlers(app.bus, ledger)

    async def begin() -> None:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        await open_ledger(ledger)

    app.on_start(begin)
    app.consume("ATTEMPTS", "meter", handlers.on_attempt, service="meter", slots=settings.slots)
    app.query("cost", handlers.on_question)
    app.query("analysis", handlers.on_analysis)
    app.query("ledger", handlers.on_whereabouts)
    app.on_stop(handlers.close)


async def open_ledger(ledger: Ledger) -> None:
    """Bring the tables to this version; another meter that does the same at this moment may hold the lock."""
    for left in reversed(range(OPEN_TRIES)):
        try:
            steps = await asyncio.to_thread(ledger.create)
        except OperationalError:
            if not left:
                raise
            await asyncio.sleep(OPEN_PAUSE_S)
        else:
            log.info("ledger_opened", migrated=steps)
            return
