"""One call: claim it, dial once, publish the attempt (delivery rule 4)."""

from datetime import UTC, datetime

import structlog
from pydantic import ValidationError

from bus.connection import Bus
from bus.delivery import Delivery
from bus.errors import Exists, Reject, Retry, TooLarge
from bus.journal import claim
from bus.streams import ACK_WAIT_S
from contracts.attempt import AttemptFinishedV1
from contracts.call import CallBegunV1, CallV1
from contracts.outcome import AttemptErrorV1
from observability.labels import count_attempt
from observability.tracing import annotate
from services.adapters.attempts import Dial, attempt_of
from services.adapters.cancels import Cancels
from services.adapters.dialling import CANCELLED, Dialler
from services.adapters.protocol import Answer, Failure
from services.adapters.providers import Providers
from services.adapters.settings import AdapterSettings

log = structlog.get_logger()


class Adapter:
    """Handles calls: claimed, dialled and published."""

    def __init__(self, bus: Bus, providers: Providers, cancels: Cancels, settings: AdapterSettings) -> None:
        self.bus, self.providers, self.cancels, self.settings = bus, providers, cancels, settings
        self.dialler = Dialler(bus, providers, cancels)

    async def on_call(self, delivery: Delivery) -> None:
        """A call is dialled at most once, by whoever wrote its journal entry."""
        try:
            call = CallV1.model_validate_json(delivery.body)
        except ValidationError as error:
            raise Reject("undecodable", f"CallV1: {error.errors(include_input=False, include_url=False)[0]['msg']}") from None
        if self.settings.journal and not await self._claimed(call, delivery):
            return
        now = datetime.now(UTC)
        queue_s = max(0.0, (now - delivery.stored_at).total_seconds())
        if now >= call.origin.deadline:
            expired = Failure("expired", f"its deadline {call.origin.deadline.isoformat()} had passed before it was asked", usage_known_zero=True)
            await self._publish(call, expired, Dial(delivery.seq, queue_s, 0.0, None, False))
            return
        if self.cancels.cancelled(call.origin.tenant, call.origin.request_id):
            cancelled = Failure("cancelled", CANCELLED.message, usage_known_zero=True)
            await self._publish(call, cancelled, Dial(delivery.seq, queue_s, 0.0, None, False))
            return
        outcome, dial = await self.dialler.dial(call, delivery.seq, queue_s)
        await self._publish(call, outcome, dial)

    async def _claimed(self, call: CallV1, delivery: Delivery) -> bool:
        """Whether this delivery may dial. Raises Retry while the one that claimed the call may still be alive."""
        mine = CallBegunV1(call_seq=delivery.seq, delivery=delivery.deliveries, writer="adapter", begun_at=datetime.now(UTC))
        entry = await claim(self.bus, call.origin, call.n, mine)
        if entry is None:
            return True
        if entry.call_seq != delivery.seq:
            return False
        attempts = self.bus.subjects.any_attempt(call.origin.tenant, call.origin.request_id, call.n)
        if await self.bus.last("ATTEMPTS", attempts) is not None:
            return False
        if entry.writer == "router":
            raise Retry(ACK_WAIT_S, "the router has taken this call")
        if delivery.deliveries <= entry.delivery + 1:
            raise Retry(ACK_WAIT_S, "begun by another delivery, which may still be alive")
        lost = Failure("outcome_unknown", f"begun at {entry.begun_at.isoformat()} by a process that did not finish it")
        queue_s = max(0.0, (entry.begun_at - delivery.stored_at).total_seconds())
        await self._publish(call, lost, Dial(delivery.seq, queue_s, 0.0, None, False), late=False)
        return False

    async def _publish(self, call: CallV1, outcome: Answer | Failure, dial: Dial, *, late: bool = True) -> None:
        """Publish the attempt until it is stored. One declared lost meanwhile is published as `late`, if it has an answer."""
        attempt = attempt_of(call, outcome, self.providers.offer(call.provider, call.model), dial, datetime.now(UTC))
        annotate({"headrace.attempt.outcome": attempt.summary.outcome})
        try:
            await self._store(attempt, "answered" if isinstance(outcome, Answer) else "failed")
        except TooLarge as error:
            await self._store(_without_answer(attempt, str(error)), "failed")
        except Exists:
            if late and self.settings.journal and isinstance(outcome, Answer):
                await self._store_late(attempt)
        tell = log.debug if isinstance(outcome, Answer) else log.info
        tell(
            "attempted",
            tenant=call.origin.tenant,
            request_id=call.origin.request_id,
            n=call.n,
            provider=call.provider,
            model=call.model,
            outcome=attempt.summary.outcome,
            duration_s=attempt.summary.duration_s,
        )

    async def _store(self, attempt: AttemptFinishedV1, outcome: str) -> None:
        origin, n, subjects, summary = attempt.origin, attempt.summary.n, self.bus.subjects, attempt.summary
        subject = subjects.attempt(outcome, origin.lane, origin.tenant, origin.request_id, n)
        none_on = subjects.any_attempt(origin.tenant, origin.request_id, n)
        await self.bus.persist(subject, attempt.model_dump_json().encode(), none_on=none_on, stream="ATTEMPTS")
        count_attempt(summary.provider, summary.model, origin.lane, summary.outcome)

    async def _store_late(self, attempt: AttemptFinishedV1) -> None:
        origin = attempt.origin
        subject = self.bus.subjects.attempt("late", origin.lane, origin.tenant, origin.request_id, attempt.summary.n)
        try:
            await self.bus.persist(subject, attempt.model_dump_json().encode(), none_on=subject, stream="ATTEMPTS")
            count_attempt(attempt.summary.provider, attempt.summary.model, origin.lane, "late")
        except Exists:
            log.warning("late_twice", tenant=origin.tenant, request_id=origin.request_id, n=attempt.summary.n)


def _without_answer(attempt: AttemptFinishedV1, why: str) -> AttemptFinishedV1:
    """An answer that no message can hold: paid for, counted, and failed with the limit named."""
    error = AttemptErrorV1(type="invalid_request", message=f"the answer is too large for one message: {why}", provider_code="answer_too_large")
    summary = attempt.summary.model_copy(update={"outcome": "invalid_request", "error": error})
    return attempt.model_copy(update={"summary": summary, "message": None, "embeddings": None})
