"""Attempts to ledger rows and costs; questions about costs to sums."""

import asyncio
import json

import structlog
from pydantic import ValidationError
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from bus.connection import Bus
from bus.delivery import Delivery
from bus.errors import Reject, Retry
from contracts.attempt import AttemptFinishedV1
from contracts.cost import CostRecordedV1
from services.meter.commits import GroupCommit
from services.meter.entries import recorded, row_of
from services.meter.ledger import Ledger
from services.meter.report import CostQuestion, report

log = structlog.get_logger()

LEDGER_RETRY_S = 2.0


class Handlers:
    """What the meter does with a delivery and with a question."""

    def __init__(self, bus: Bus, ledger: Ledger) -> None:
        self._bus = bus
        self._ledger = ledger
        self._commits = GroupCommit(ledger)

    async def on_attempt(self, delivery: Delivery) -> None:
        """Commit the call, then tell its cost. An estimate that was replaced by a late answer is not told again."""
        outcome = delivery.tokens[1]
        attempt = decode(delivery.body)
        try:
            stands = await self._commits.add(row_of(attempt, late=outcome == "late"))
        except OperationalError as error:
            raise Retry(LEDGER_RETRY_S, f"the ledger cannot be written: {error.orig}") from error
        if not stands:
            log.info("replaced_by_late_answer", call_id=attempt.call_id)
            return
        event = recorded(attempt)
        subject = self._bus.subjects.cost(event.tenant)
        await self._bus.publish(subject, event.model_dump_json().encode(), msg_id=f"cost:{event.call_id}:{outcome}")
        _log(attempt, event)

    async def on_question(self, body: bytes) -> bytes:
        """Answer `{"by":[…],"since":…,"until":…,"tenant":…}` with rows and total, or `{"error":…}`."""
        try:
            question = CostQuestion.model_validate_json(body or b"{}")
            answer = await asyncio.to_thread(report, self._ledger.engine, question)
        except ValidationError as error:
            answer = {"error": "; ".join(f"{'.'.join(map(str, each['loc'])) or 'question'}: {each['msg']}" for each in error.errors())}
        except SQLAlchemyError as error:
            log.error("ledger_unreadable", error=type(error).__name__)
            answer = {"error": f"the ledger cannot be read ({type(error).__name__}): see the meter's log and HEADRACE_METER_LEDGER_URL"}
        return json.dumps(answer).encode()

    async def close(self) -> None:
        await self._commits.close()
        self._ledger.close()


def decode(body: bytes) -> AttemptFinishedV1:
    """Raises Reject: an attempt that cannot be read will never be readable."""
    try:
        return AttemptFinishedV1.model_validate_json(body)
    except ValidationError as error:
        raise Reject("undecodable", f"not an attempt: {error.error_count()} errors, the first at {error.errors(include_input=False)[0]['loc']}") from error


def _log(attempt: AttemptFinishedV1, event: CostRecordedV1) -> None:
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
