"""Attempts to results and verdicts: decode, judge, publish."""

from collections.abc import Callable
from datetime import datetime

import structlog
from pydantic import ValidationError

from bus.connection import Bus
from bus.delivery import Delivery
from bus.errors import Exists, Reject
from bus.results import publish_result, result
from contracts.attempt import AttemptFinishedV1
from contracts.result import ErrorV1, ResultV1, Status
from contracts.verdict import RepairOrderedV1
from services.validator.checking import Fail, Repair, Succeed, judge

log = structlog.get_logger()


class Handlers:
    """What the validator does with a delivery."""

    def __init__(self, bus: Bus, clock: Callable[[], datetime]) -> None:
        self._bus = bus
        self._clock = clock

    async def on_attempt(self, delivery: Delivery) -> None:
        """An answered attempt becomes a result or a repair order; a late one a success or nothing."""
        late = delivery.tokens[1] == "late"
        attempt = decode(delivery.body)
        now = self._clock()
        match judge(attempt, now, late=late):
            case Succeed(parsed):
                await self._settle(attempt, success(attempt, parsed, now))
            case Repair(problems):
                await self._order_repair(attempt, problems)
            case Fail(type, message) if not late:
                await self._settle(attempt, failure(attempt, type, message, now))
            case Fail():
                log.info("late_answer_not_acceptable", **ids_of(attempt))

    async def _settle(self, attempt: AttemptFinishedV1, outcome: ResultV1) -> None:
        if await publish_result(self._bus, outcome):
            tell = log.debug if outcome.status == "succeeded" else log.info
            tell("settled", **ids_of(attempt), status=outcome.status, error=outcome.error.type if outcome.error else None)
        else:
            log.debug("result_exists", **ids_of(attempt))

    async def _order_repair(self, attempt: AttemptFinishedV1, problems: tuple[str, ...]) -> None:
        origin = attempt.origin
        subject = self._bus.subjects.verdict(origin.lane, origin.tenant, origin.request_id, attempt.summary.n)
        order = RepairOrderedV1(attempt=attempt, problems=problems)
        try:
            await self._bus.publish(subject, order.model_dump_json().encode(), none_on=subject)
        except Exists:
            log.debug("verdict_exists", **ids_of(attempt))
        else:
            log.info("repair_ordered", **ids_of(attempt), repairs=attempt.slip.repairs, problems=len(problems))


def ids_of(attempt: AttemptFinishedV1) -> dict[str, str | int]:
    """By which a line is found."""
    return {"tenant": attempt.origin.tenant, "request_id": attempt.origin.request_id, "n": attempt.summary.n}


def decode(body: bytes) -> AttemptFinishedV1:
    """Raises Reject: an attempt that cannot be read will never be readable."""
    try:
        return AttemptFinishedV1.model_validate_json(body)
    except ValidationError as error:
        raise Reject("undecodable", f"not an attempt: {error.error_count()} errors, the first at {error.errors(include_input=False)[0]['loc']}") from error


def success(attempt: AttemptFinishedV1, parsed: object, now: datetime) -> ResultV1:
    return _result(attempt, "succeeded", now, parsed=parsed)


def failure(attempt: AttemptFinishedV1, type: str, message: str, now: datetime) -> ResultV1:
    """The message of the model is kept: a person may still use it."""
    return _result(attempt, "failed", now, error=ErrorV1(type=type, message=message, provider=attempt.summary.provider))


def _result(attempt: AttemptFinishedV1, status: Status, now: datetime, *, parsed: object = None, error: ErrorV1 | None = None) -> ResultV1:
    slip = attempt.slip
    return result(
        attempt.origin,
        (*slip.attempts, attempt.summary),
        status,
        now,
        message=attempt.message,
        embeddings=attempt.embeddings,
        finish_reason=attempt.summary.finish_reason,
        parsed=parsed,
        response_model=attempt.response_model,
        response_id=attempt.response_id,
        queue_s=slip.queue_s if slip.queue_s is not None else attempt.queue_s,
        first_token_s=attempt.first_token_s,
        warnings=(*slip.warnings, *attempt.warnings),
        error=error,
    )
