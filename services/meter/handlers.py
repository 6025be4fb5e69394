"""Attempts to ledger rows and costs; questions about costs to sums."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import structlog
from pydantic import ValidationError
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from bus.connection import Bus
from bus.delivery import Delivery
from bus.errors import Reject, Retry
from contracts.cost import CostRecordedV1
from services.meter.analysis.answer import analysed
from services.meter.counting import count
from services.meter.entries import Metered, Row, cost_of_row, recorded, row_of_cost
from services.meter.ledger import Ledger, key_of, version_of
from services.meter.report import Choice, CostQuestion, report
from storage.commits import GroupCommit
from storage.database import whereabouts

Asked = TypeVar("Asked", bound=Choice)

log = structlog.get_logger()

LEDGER_RETRY_S = 2.0
MAY_COME_LATE = "outcome_unknown"
"""The one failure after which an answer may still come."""


class Handlers:
    """What the meter does with a delivery and with a question."""

    def __init__(self, bus: Bus, ledger: Ledger) -> None:
        self._bus = bus
        self._ledger = ledger
        self._commits = GroupCommit(self._write)

    async def on_attempt(self, delivery: Delivery) -> None:
        """Commit the call, then tell its cost; where a later version stands in the ledger, that one is the last that is told."""
        outcome = delivery.tokens[1]
        attempt = decode(delivery.body)
        event = recorded(attempt, late=outcome == "late")
        row = row_of_cost(event)
        try:
            if await self._commits.add((row, delivery.deliveries > 1 or outcome == "failed")):
                subject, body = self._bus.subjects.cost(event.tenant), event.model_dump_json().encode()
                told = await self._bus.publish(subject, body, msg_id=f"cost:{event.call_id}:{outcome}")
                if not told.duplicate:
                    count(event)
                _log(attempt, event)
                if attempt.summary.outcome != MAY_COME_LATE:
                    return
            await self._tell_later(row)
        except OperationalError as error:
            raise Retry(LEDGER_RETRY_S, f"the ledger cannot be used: {error.orig}") from error

    async def _write(self, batch: Sequence[tuple[Row, bool]]) -> list[bool]:
        """Commit rows, each with whether a later version of the call may stand there already; whether each stands now."""
        doubted = {row["call_id"] for row, doubtful in batch if doubtful}
        return await asyncio.to_thread(self._ledger.record, [row for row, _ in batch], doubted)

    async def _tell_later(self, row: Row) -> None:
        """Another meter may have told the late answer, or a run the corrected price, before this one told the estimate: readers keep the last."""
        standing = (await asyncio.to_thread(self._ledger.find, [key_of(row)])).get(key_of(row))
        if standing is None or version_of(standing) <= version_of(row):
            return
        event = cost_of_row(standing)
        log.info(
            "later_version_stands",
            tenant=event.tenant,
            request_id=event.request_id,
            call_id=event.call_id,
            late=event.late,
            repriced_at=standing["repriced_at"],
        )
        await self._bus.publish(self._bus.subjects.cost(event.tenant), event.model_dump_json().encode())  # told before: an id would make it a duplicate

    async def on_question(self, body: bytes) -> bytes:
        """Answer `{"by":[…],"since":…,"until":…,"tenant":…}` with rows and total, or `{"error":…}`."""
        return await self._answer(body, CostQuestion, report)

    async def on_analysis(self, body: bytes) -> bytes:
        """Answer `{"since":…,"until":…,"tenant":…}` with figures and findings, or `{"error":…}`."""
        return await self._answer(body, Choice, analysed)

    async def _answer(self, body: bytes, asked: type[Asked], find: Callable[[Engine, Asked], dict[str, Any]]) -> bytes:
        try:
            question = asked.model_validate_json(body or b"{}")
            answer = await asyncio.to_thread(find, self._ledger.engine, question)
        except ValidationError as error:
            answer = {"error": "; ".join(f"{'.'.join(map(str, each['loc'])) or 'question'}: {each['msg']}" for each in error.errors())}
        except SQLAlchemyError as error:
            log.error("ledger_unreadable", error=type(error).__name__)
            answer = {"error": f"the ledger cannot be read ({type(error).__name__}): see the meter's log and HEADRACE_METER_LEDGER_URL"}
        return json.dumps(answer).encode()

    async def on_whereabouts(self, _: bytes) -> bytes:
        """Answer where an SQLite ledger lies, for whoever works on this machine; a server's URL holds a password and is not told."""
        return whereabouts(self._ledger.engine)

    async def close(self) -> None:
        await self._commits.close()
        self._ledger.close()


def decode(body: bytes) -> Metered:
    """Raises Reject: an attempt that cannot be read will never be readable."""
    try:
        return Metered.model_validate_json(body)
    except ValidationError as error:
        raise Reject("undecodable", f"not an attempt: {error.error_count()} errors, the first at {error.errors(include_input=False)[0]['loc']}") from error


def _log(attempt: Metered, event: CostRecordedV1) -> None:
    log.info(
        "metered",
        call_id=event.call_id,
        tenant=event.tenant,
        request_id=event.request_id,
        provider=event.provider,
        model=event.model,
        outcome=event.outcome,
        cost_usd=None if event.cost_usd is None else f"{event.cost_usd:f}",
        basis=event.basis,
        input_tokens=event.usage.input_tokens,
        output_tokens=event.usage.output_tokens,
        duration_s=attempt.summary.duration_s,
    )
