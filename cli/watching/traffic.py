"""What goes by on the bus while one watches: results, costs, notices. Heard, counted, and let go."""

from collections import Counter, deque
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

import structlog
from pydantic import ValidationError

from cli.watching.minute import Minute
from contracts.base import Open, Usd
from contracts.notice import NoticeV1

NOTICES = 20
REMEMBERED = 20_000
NO_LANE = "_"
"""A request that was refused before its lane was known."""

Message = TypeVar("Message", bound=Open)

log = structlog.get_logger()


class Ended(Open):
    """What the screen needs of a result; the answer stays unread."""

    status: str
    lane: str | None = None
    requested_at: datetime | None = None
    finished_at: datetime


class Spent(Open):
    """What the screen needs of a cost."""

    call_id: str
    tenant: str
    provider: str
    outcome: str
    cost_usd: Usd | None = None
    late: bool = False
    repriced_at: datetime | None = None


class Traffic:
    """Counters of what was heard. `now_s` is any clock that only goes forward."""

    def __init__(self, began_s: float) -> None:
        self.results: Minute[str] = Minute(began_s)
        """By lane, with the seconds from stored to ended."""
        self.statuses: Counter[tuple[str, str]] = Counter()
        """By lane and status, since the beginning."""
        self.attempts: Minute[tuple[str, str]] = Minute(began_s)
        """By provider and outcome."""
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.spent: Minute[str] = Minute(began_s)
        """USD by tenant, as far as known."""
        self.unpriced: Minute[str] = Minute(began_s)
        self.notices: deque[NoticeV1] = deque(maxlen=NOTICES)
        self.unreadable = 0
        self._told: dict[str, None] = {}

    def result(self, now_s: float, body: bytes) -> None:
        ended = self._read(Ended, body)
        if ended is None:
            return
        lane = ended.lane or NO_LANE
        took = None if ended.requested_at is None else max((ended.finished_at - ended.requested_at).total_seconds(), 0.0)
        self.results.add(now_s, lane, measured=took)
        self.statuses[lane, ended.status] += 1

    def cost(self, now_s: float, body: bytes) -> None:
        """One a call: told again (another delivery, a late answer, a corrected price) it is not spent again."""
        spent = self._read(Spent, body)
        if spent is None or spent.late or spent.repriced_at is not None or spent.call_id in self._told:
            return
        self._told[spent.call_id] = None
        if len(self._told) > REMEMBERED:
            del self._told[next(iter(self._told))]
        self.attempts.add(now_s, (spent.provider, spent.outcome))
        self.outcomes[spent.provider, spent.outcome] += 1
        if spent.cost_usd is None:
            self.unpriced.add(now_s, spent.tenant)
        self.spent.add(now_s, spent.tenant, spent.cost_usd or Decimal(0))

    def notice(self, body: bytes) -> None:
        notice = self._read(NoticeV1, body)
        if notice is not None:
            self.notices.append(notice)

    def _read(self, contract: type[Message], body: bytes) -> Message | None:
        try:
            return contract.model_validate_json(body)
        except ValidationError as error:
            self.unreadable += 1
            log.debug("unreadable", contract=contract.__name__, errors=error.error_count())
            return None
