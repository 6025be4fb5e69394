"""Reads for each refresh what the bus records, and hears what goes by in between. A few small questions a second, however much traffic there is."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import nats.errors
from pydantic import BaseModel, ValidationError

from bus import configuration
from bus.backlog import backlogs
from bus.configuration import BadConfiguration
from bus.connection import Bus
from bus.errors import Unavailable
from bus.health import states
from bus.stored import ApiError
from cli.costs import ask_meter
from cli.session import Failure
from cli.watching.figures import Figures, Records, Today, figures
from cli.watching.traffic import NOTICES, Traffic
from contracts.config import ConfigV1
from contracts.dead_letter import DeadLetterV1

ANSWER_S = 2.0
LEDGER_REST = 50
"""The ledger is left alone for so many times as long as its last answer took."""
LEDGER_PAUSE_S = (2.0, 120.0)
LOST = (Unavailable, nats.errors.Error, OSError)


class _State(BaseModel):
    messages: int = 0
    first_seq: int = 0
    last_seq: int = 0
    subjects: dict[str, int] | None = None


class _Stream(BaseModel):
    state: _State = _State()
    error: ApiError | None = None


class Watch:
    """Everything for one screen. `tenant`: only its results, costs and dead letters."""

    def __init__(self, bus: Bus, tenant: str | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._bus, self._tenant, self._clock = bus, tenant, clock
        self.traffic = Traffic(clock())
        self._today = Today(why_not="not asked yet")
        self._last_dead: tuple[int, DeadLetterV1 | None] = (0, None)
        self._asking: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return self._bus.url

    @property
    def connected(self) -> bool:
        return self._bus.nc.is_connected

    async def begin(self) -> None:
        """Listen; the last notices are read from their stream. What is not provisioned yet is shown at the first look. Raises nats.errors.Error."""
        subjects, of = self._bus.subjects, self._tenant or "*"
        traffic, clock = self.traffic, self._clock
        await self._bus.nc.listen(subjects.result(of, "*"), lambda message: traffic.result(clock(), message.data))
        await self._bus.nc.listen(subjects.cost(of), lambda message: traffic.cost(clock(), message.data))
        await self._bus.nc.listen(subjects.notice("*", "*"), lambda message: traffic.notice(message.data))
        with contextlib.suppress(*LOST):
            last = (await self._stream("NOTICES")).last_seq
            for stored in await self._bus.scan("NOTICES", last - NOTICES + 1, NOTICES):
                traffic.notice(stored.body)
        self._asking = asyncio.create_task(self._follow_ledger())

    async def end(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})

    async def look(self) -> Figures:
        """The figures of now. Raises Unavailable, nats.errors.Error."""
        waiting, calls, health, config, dead = await _together(
            backlogs(self._bus),
            self._stream("CALLS"),
            states(self._bus),
            self._config(),
            self._stream("DEAD_LETTERS", self._bus.subjects.dead("*", self._tenant or "*")),
        )
        records = Records(
            backlogs=waiting,
            stored_calls=calls.messages,
            health=health,
            config=config,
            dead_by_service=self._by_service(dead),
            last_dead=await self._newest_dead(dead),
            today=self._today,
        )
        return figures(records, self.traffic, datetime.now(UTC), self._clock())

    async def _stream(self, name: str, pattern: str | None = None) -> _State:
        """A stream's state, with the number of messages of each subject that matches."""
        question = b"" if pattern is None else b'{"subjects_filter":"%s"}' % pattern.encode()
        answer = await self._bus.request(f"$JS.API.STREAM.INFO.{name}", question, timeout_s=ANSWER_S)
        found = _Stream.model_validate_json(answer.data)
        if found.error is not None:
            raise Unavailable(f"stream {name!r}: {found.error.description} ({found.error.err_code}); run 'headrace doctor'")
        return found.state

    async def _config(self) -> ConfigV1 | None:
        try:
            found = await configuration.read(self._bus)
        except BadConfiguration:
            return None
        return found[0] if found else None

    def _by_service(self, dead: _State) -> dict[str, int]:
        counts: dict[str, int] = {}
        for subject, count in (dead.subjects or {}).items():
            service = self._bus.subjects.tokens(subject)[1]
            counts[service] = counts.get(service, 0) + count
        return counts

    async def _newest_dead(self, dead: _State) -> DeadLetterV1 | None:
        """Read when there is a new one only: it carries a whole message."""
        if dead.last_seq != self._last_dead[0]:
            stored = await self._bus.last("DEAD_LETTERS", self._bus.subjects.dead("*", self._tenant or "*"))
            letter = None
            with contextlib.suppress(ValidationError):
                letter = None if stored is None else DeadLetterV1.model_validate_json(stored.body)
            self._last_dead = dead.last_seq, letter
        return self._last_dead[1]

    async def _follow_ledger(self) -> None:
        """Sums over millions of calls take seconds, so the slower the answer, the rarer the question."""
        while True:
            began_s = self._clock()
            try:
                self._today = await self._ask_ledger()
            except (Failure, *LOST) as error:
                self._today = Today(why_not=str(error))
            pause_s = (self._clock() - began_s) * LEDGER_REST
            await asyncio.sleep(min(max(pause_s, LEDGER_PAUSE_S[0]), LEDGER_PAUSE_S[1]))

    async def _ask_ledger(self) -> Today:
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        answer = await ask_meter(self._bus, {"by": ["tenant"], "since": midnight.isoformat(), "until": None, "tenant": self._tenant})
        rows: list[dict[str, Any]] = answer["rows"]
        return Today({row["tenant"]: Decimal(row["cost_known_usd"]) for row in rows}, {row["tenant"]: int(row["calls_unpriced"]) for row in rows})


async def _together(*work: Awaitable[Any]) -> list[Any]:
    """All at once; where one fails, the others are not left to fail unheard."""
    found = await asyncio.gather(*work, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return found
