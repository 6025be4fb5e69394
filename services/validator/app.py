"""Where the validator's parts meet."""

from datetime import UTC, datetime

from bus.application import Application
from bus.streams import SERVED_LANES
from services.validator.handlers import Handlers
from services.validator.settings import ValidatorSettings


def build(app: Application, settings: ValidatorSettings) -> None:
    """Consume the answered and late attempts of every lane."""
    handlers = Handlers(app.bus, clock=lambda: datetime.now(UTC))
    for lane in SERVED_LANES:
        app.consume("ATTEMPTS", f"validator-{lane}", handlers.on_attempt, service="validator", slots=settings.slots)
