"""Requests whose subject names no lane: they are found by their subject and refused by name, at no cost to the others."""

import asyncio

import nats.errors
import structlog
from nats.js.errors import NotFoundError

from bus.application import Application
from bus.delivery import Handler
from bus.errors import Unavailable
from bus.notices import notify
from bus.provision import ensure_consumer
from bus.streams import Consumer
from bus.worker import Worker
from contracts.request import LANES

log = structlog.get_logger()

DURABLE = "router-strays"
LOOK_EVERY_S = 1.0
MOST_PATTERNS = 500


class Strays:
    """Watches the subjects of REQUESTS; a durable of its own reads those that no lane's consumer reads."""

    def __init__(self, app: Application, handler: Handler) -> None:
        self.app, self.bus, self.handler = app, app.bus, handler
        self._worker: Worker | None = None
        self._subjects: tuple[str, ...] = ()

    async def run(self) -> None:
        """Look for new stray subjects until cancelled."""
        while True:
            try:
                await self._look()
            except (nats.errors.Error, Unavailable, TimeoutError) as error:
                log.warning("strays_wait", error=str(error))
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self) -> None:
        pattern = f"{self.bus.subjects.prefix}request.>"
        state = (await self.bus.nc.jetstream().stream_info("REQUESTS", subjects_filter=pattern)).state
        strays = (tokens for tokens in map(self.bus.subjects.tokens, state.subjects or {}) if is_stray(tokens))
        found = {self.bus.subjects.prefix + pattern_of(tokens) for tokens in strays} - set(self._subjects)
        if not found or len(self._subjects) >= MOST_PATTERNS:
            return
        subjects = tuple(sorted({*self._subjects, *found, *await self._read_already()})[:MOST_PATTERNS])
        if len(subjects) == MOST_PATTERNS:
            await notify(
                self.bus, "error", "too_many_lanes", "router", f"producers use more than {MOST_PATTERNS} lanes that do not exist; the rest are not read"
            )
        consumer = Consumer("REQUESTS", DURABLE, subjects)
        await ensure_consumer(self.bus, consumer)
        self._subjects = subjects
        if self._worker is None:
            self._worker = Worker(self.bus, consumer, self.handler, service="router", slots=16)
            await self.app.work(self._worker)

    async def _read_already(self) -> list[str]:
        """What another replica reads by the same durable."""
        try:
            config = (await self.bus.nc.jetstream().consumer_info("REQUESTS", DURABLE)).config
        except NotFoundError:
            return []
        return config.filter_subjects or ([config.filter_subject] if config.filter_subject else [])


def pattern_of(tokens: list[str]) -> str:
    """The pattern by which stray tokens are read; it never meets what a lane's consumer reads."""
    if len(tokens) < 3:
        return "request.*"
    return f"request.*.*.{tokens[3]}" if len(tokens) == 4 else "request.*.*.*.>"


def is_stray(tokens: list[str]) -> bool:
    """Whether no lane's consumer reads these tokens (`request`, tenant, kind, lane or nothing)."""
    return not (len(tokens) == 3 or (len(tokens) == 4 and tokens[3] in LANES))
