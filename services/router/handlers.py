"""Decode, decide, publish: requests, failed attempts, verdicts and cancels."""

import asyncio
from datetime import UTC, datetime
from typing import TypeVar

import structlog
from pydantic import BaseModel, ValidationError

from bus.connection import Bus
from bus.delivery import Delivery
from bus.errors import Reject, TooLarge
from bus.notices import notify
from bus.results import publish_result, result
from bus.stored import Stored
from bus.telemetry import request_facts
from contracts.attempt import AttemptFinishedV1
from contracts.call import CallV1
from contracts.cancel import CancelV1
from contracts.content import ChatMessageV1
from contracts.origin import OriginV1
from contracts.request import Request
from contracts.result import ErrorV1, ResultV1
from contracts.verdict import RepairOrderedV1
from observability import metrics
from observability.tracing import annotate, continued, current_trace, link, recording
from services.router import calls, routing
from services.router.intake import Accepted, Refused, Undecodable, envelope, read
from services.router.routing import Ask, End
from services.router.sweep import take

log = structlog.get_logger()
SERVICE = "router"
Contract = TypeVar("Contract", bound=BaseModel)


class Known(BaseModel):
    """What a result, or the origin of an attempt or call, says of the request that made it."""

    request_seq: int | None = None
    request_sha256: str | None = None


class Holder(BaseModel):
    origin: Known = Known()


class Router:
    """The router's handlers. State: only the configuration's snapshot and an order among requests of one id. `ailing`: the providers' health."""

    def __init__(self, bus: Bus, snapshot: calls.Snapshot, ailing: routing.Ailing = routing.nobody) -> None:
        self.bus, self.snapshot, self.ailing = bus, snapshot, ailing
        self._turns: dict[tuple[str, str], asyncio.Future[None]] = {}
        """The last of the requests at hand under each id: they go one after the other, in the order of their delivery."""

    async def on_request(self, delivery: Delivery) -> None:
        """A request: refused, known already, or call 1."""
        trace = current_trace()
        of = envelope(delivery.body, delivery.tokens, delivery.headers, delivery.seq, delivery.stored_at, trace.trace_id if trace else None)
        try:
            asked = read(delivery.body, of)
        except Undecodable as error:
            raise Reject("undecodable", str(error)) from None
        if recording():
            await self._observe(asked.origin)
        await self._in_turn(asked)

    async def _observe(self, origin: OriginV1) -> None:
        """Name the request on its span; a replay's is linked with the result of the request that it repeats."""
        annotate(request_facts(origin))
        if origin.replay_of is not None and (original := await self.bus.last("RESULTS", self.bus.subjects.result(origin.tenant, origin.replay_of))):
            link(original.headers, "replay_of")

    async def _in_turn(self, asked: Accepted | Refused) -> None:
        """Requests of one id one after the other: the first stored wins."""
        key = (asked.origin.tenant, asked.origin.request_id)
        ahead, mine = self._turns.get(key), asyncio.get_running_loop().create_future()
        self._turns[key] = mine
        try:
            if ahead is not None:
                await asyncio.wait({ahead})
            if not await self._ended_before(asked.origin):
                await self._begin(asked) if isinstance(asked, Accepted) else await self._end(asked.origin, End("refused", asked.error))
        finally:
            mine.set_result(None)
            if self._turns.get(key) is mine:
                del self._turns[key]

    async def on_failed(self, delivery: Delivery) -> None:
        """A failed attempt: the same candidate again, the next one, or the end."""
        attempt = _decode(AttemptFinishedV1, delivery)
        request = await calls.request_of(self.bus, attempt.origin)
        needs, find = calls.needs(request), self.snapshot.catalog.find
        decision = routing.after_failure(attempt, needs, find, datetime.now(UTC), calls.jitter(), self.ailing)
        await self._follow(attempt, decision, request)

    async def on_verdict(self, delivery: Delivery) -> None:
        """The validator wants the model asked again: the answer and what was wrong with it go with the next call."""
        verdict = _decode(RepairOrderedV1, delivery)
        attempt = verdict.attempt
        request = await calls.request_of(self.bus, attempt.origin)
        decision = routing.after_verdict(attempt, calls.needs(request), self.snapshot.catalog.find, datetime.now(UTC))
        if isinstance(decision, Ask):
            slip = decision.slip.model_copy(update={"correction": correction(verdict)})
            decision = Ask(slip, decision.delay_s, decision.estimated_cost_usd)
        await self._follow(attempt, decision, request)

    async def on_cancel(self, delivery: Delivery) -> None:
        """End a request, begun or not, or not even arrived; then take its calls that nobody has begun."""
        tenant, request_id = delivery.tokens[1], delivery.tokens[2]
        cancel = _decode(CancelV1, delivery) if delivery.body.strip() else CancelV1()
        bus = self.bus
        if await bus.last("RESULTS", bus.subjects.result(tenant, request_id)) is None:
            outcome, headers = await self._cancelled(tenant, request_id, cancel)
            link(headers, "cancelled")
            with continued(headers):
                await publish_result(bus, outcome)
        call = await bus.last("CALLS", bus.subjects.any_call(tenant, request_id))
        if call is not None:
            await take(bus, call)

    async def _begin(self, asked: Accepted) -> None:
        origin, request = asked.origin, asked.request
        config = self.snapshot.config
        tenants = config.tenants if config.tenants is not None else {"default": None}
        if origin.tenant not in tenants:
            await self._refuse(origin, "unknown_tenant", f"tenant {origin.tenant!r} is not configured; add it under 'tenants'", None)
            return
        if datetime.now(UTC) >= origin.deadline:
            await self._end(origin, End("expired", routing.deadline_exceeded(origin)))
            return
        found = routing.candidates_of(request, origin.kind, config)
        if isinstance(found, ErrorV1):
            await self._end(origin, End("refused", found))
            return
        origin = origin.model_copy(update={"route": found[0]})
        find = self.snapshot.catalog.find
        decision = routing.first(found[1], calls.needs(request), find, routing.capable_of(request), ailing=self.ailing)
        if isinstance(decision, End):
            await self._end(origin, decision)
            return
        candidate = decision.slip.candidates[0]
        too_large = routing.answer_too_large(request, find(candidate.provider, candidate.model), self.bus.body_limit)
        if too_large is not None:
            await self._end(origin, End("refused", too_large))
            return
        try:
            if await calls.publish(self.bus, calls.build(origin, request, 1, decision), 0, first=True):
                metrics.REQUESTS_ACCEPTED.add(1, origin.kind, origin.lane)
            else:
                await self._taken(origin)
        except TooLarge as error:
            await self._refuse(origin, "too_large", f"{error}; send large parts as 'uri'", None)

    async def _follow(self, attempt: AttemptFinishedV1, decision: Ask | End, request: Request) -> None:
        """Publish what follows an attempt, unless somebody did before."""
        if isinstance(decision, End):
            await self._end(attempt.origin, decision, attempt)
            return
        if await calls.overtaken(self.bus, attempt):
            return
        try:
            await calls.publish(self.bus, calls.build(attempt.origin, request, attempt.summary.n + 1, decision), decision.delay_s)
        except TooLarge as error:
            await self._end(attempt.origin, End("failed", ErrorV1(type="too_large", message=str(error))), attempt)

    async def _end(self, origin: OriginV1, end: End, attempt: AttemptFinishedV1 | None = None) -> None:
        attempts = (*attempt.slip.attempts, attempt.summary) if attempt else ()
        facts = {"message": attempt.message, "warnings": (*attempt.slip.warnings, *attempt.warnings), "queue_s": routing.waited_s(attempt)} if attempt else {}
        won = await publish_result(self.bus, result(origin, attempts, end.status, datetime.now(UTC), error=end.error, **facts))
        log.info("ended", tenant=origin.tenant, request_id=origin.request_id, status=end.status, error=end.error.type, won=won)

    async def _refuse(self, origin: OriginV1, kind: str, message: str, field: str | None) -> None:
        await self._end(origin, End("refused", ErrorV1(type=kind, message=message, field=field)))

    async def _ended_before(self, origin: OriginV1) -> bool:
        """Whether this id has an attempt or a result already. One whose call is still on the bus is found by publishing call 1."""
        bus, tenant, request_id = self.bus, origin.tenant, origin.request_id
        attempt, ended = await bus.lasts(("ATTEMPTS", bus.subjects.any_attempt(tenant, request_id)), ("RESULTS", bus.subjects.result(tenant, request_id)))
        found = attempt or ended
        if found is not None:
            await self._compare(_known(found, ended is found), origin)
        return found is not None

    async def _taken(self, origin: OriginV1) -> None:
        """Somebody's call 1 stands there: this request's own, or that of another body under the same id."""
        call = await self.bus.last("CALLS", self.bus.subjects.any_call(origin.tenant, origin.request_id))
        if call is not None:
            await self._compare(_known(call, False), origin)
        else:
            await self._ended_before(origin)

    async def _compare(self, first: Known, origin: OriginV1) -> None:
        """Another body under a taken id makes a notice: the first wins."""
        request_id = origin.request_id
        if first.request_sha256 is not None and first.request_seq != origin.request_seq and first.request_sha256 != origin.request_sha256:
            message = f"request id {request_id!r} came again with another body; the first wins"
            facts = {"first_seq": first.request_seq, "second_seq": origin.request_seq}
            await notify(self.bus, "warning", "conflict", SERVICE, message, tenant=origin.tenant, request_id=request_id, **facts)

    async def _cancelled(self, tenant: str, request_id: str, cancel: CancelV1) -> tuple[ResultV1, dict[str, str]]:
        """The result of a cancelled request, with as much of it as the bus knows by now, and the headers of what told so: they name its trace."""
        bus, now = self.bus, datetime.now(UTC)
        error = ErrorV1(type="cancelled", message=cancel.reason or "cancelled by its producer")
        call = await bus.last("CALLS", bus.subjects.any_call(tenant, request_id))
        if call is not None:
            begun = CallV1.model_validate_json(call.body)
            return result(begun.origin, begun.slip.attempts, "cancelled", now, error=error), call.headers
        ended = await bus.last("ATTEMPTS", bus.subjects.any_attempt(tenant, request_id))
        if ended is not None:
            attempt = AttemptFinishedV1.model_validate_json(ended.body)
            return result(attempt.origin, (*attempt.slip.attempts, attempt.summary), "cancelled", now, error=error), ended.headers
        trace = current_trace()
        trace_id = trace.trace_id if trace else None
        return ResultV1(request_id=request_id, tenant=tenant, kind=None, status="cancelled", error=error, trace_id=trace_id, finished_at=now), {}


def _known(stored: Stored, is_result: bool) -> Known:
    return Known.model_validate_json(stored.body) if is_result else Holder.model_validate_json(stored.body).origin


def correction(verdict: RepairOrderedV1) -> tuple[ChatMessageV1, ...]:
    """The model's answer, and what a person would tell it about it."""
    problems = "\n".join(f"- {problem}" for problem in verdict.problems)
    told = f"Your answer does not match the required JSON Schema:\n{problems}\nAnswer again with the corrected JSON document only."
    answer = verdict.attempt.message
    return (*((answer,) if answer is not None and answer.all_parts() else ()), ChatMessageV1(role="user", content=told))


def _decode(contract: type[Contract], delivery: Delivery) -> Contract:
    try:
        return contract.model_validate_json(delivery.body)
    except ValidationError as error:
        raise Reject("undecodable", f"{contract.__name__}: {error.errors(include_input=False, include_url=False)[0]['msg']}") from None
