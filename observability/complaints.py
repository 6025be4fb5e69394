"""What the OpenTelemetry SDK complains of goes to our log: each kind once in a while, and no header of an exporter in it."""

import logging
import os
import time
from collections.abc import Callable

import structlog

EVERY_S = 60.0
MIN_SECRET = 4


class Complaints(logging.Handler):
    """Tells the first of a kind at once, and after `every_s` the next, with how many were kept back."""

    def __init__(self, every_s: float = EVERY_S, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(logging.WARNING)
        self._every_s, self._clock = every_s, clock
        self._told: dict[str, float] = {}
        self._kept: dict[str, int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        kind, now = f"{record.name} {record.msg}", self._clock()
        if now - self._told.get(kind, -self._every_s) < self._every_s:
            self._kept[kind] = self._kept.get(kind, 0) + 1
            return
        self._told[kind] = now
        log = structlog.get_logger()  # seldom needed, and perhaps before the log is set up
        log.warning("telemetry_suffers", message=without_secrets(_words(record)), source=record.name, kept_back=self._kept.pop(kind, 0))


def listen() -> None:
    """Take over what the SDK would print."""
    sdk = logging.getLogger("opentelemetry")
    if not any(isinstance(handler, Complaints) for handler in sdk.handlers):
        sdk.addHandler(Complaints())
        sdk.propagate = False


def _words(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    return record.getMessage() if error is None else f"{record.getMessage()} {type(error).__name__}: {error}"


def without_secrets(text: str) -> str:
    """Headers of an exporter hold keys, and the SDK repeats what it cannot read."""
    given = [value for name, value in os.environ.items() if name.startswith("OTEL_EXPORTER_OTLP_") and name.endswith("HEADERS")]
    pieces = {piece.strip() for value in given for pair in value.split(",") for piece in (value, pair, pair.partition("=")[2])}
    for piece in sorted((piece for piece in pieces if len(piece) >= MIN_SECRET), key=len, reverse=True):
        text = text.replace(piece, "***")
    return text
