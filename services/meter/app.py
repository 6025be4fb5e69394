"""Where the meter's parts meet."""

import structlog

from bus.application import Application
from services.meter.handlers import Handlers
from services.meter.ledger import Ledger
from services.meter.settings import MeterSettings
from storage.database import UnusableDatabase
from storage.migrations import opened

log = structlog.get_logger()


def build(app: Application, settings: MeterSettings) -> None:
    """Consume every attempt, answer questions about costs. Raises SystemExit where the ledger cannot be kept as configured."""
    try:
        ledger = Ledger(settings.url)
    except UnusableDatabase as error:
        raise SystemExit(f"headrace: {error}") from error
    handlers = Handlers(app.bus, ledger)

    async def begin() -> None:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        log.info("ledger_opened", migrated=await opened(ledger.create))

    app.on_start(begin)
    app.consume("ATTEMPTS", "meter", handlers.on_attempt, service="meter", slots=settings.slots)
    app.query("cost", handlers.on_question)
    app.query("analysis", handlers.on_analysis)
    app.query("ledger", handlers.on_whereabouts)
    app.on_stop(handlers.close)
