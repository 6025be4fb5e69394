"""The decision: which candidate is asked first, what follows a failure, and why a candidate was not asked. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from catalog.models import Offer
from contracts.attempt import AttemptFinishedV1
from contracts.config import ConfigV1
from contracts.content import BlobPart, FilePart, UriPart
from contracts.failures import FAILURES
from contracts.origin import CandidateV1, OriginV1, RejectedV1, SlipV1
from contracts.outcome import AttemptSummaryV1, WarningV1
from contracts.request import ChatRequestV1, EmbedRequestV1, Request
from contracts.result import ErrorV1, Status

DEFAULT_OUTPUT_TOKENS = 1024
"""Expected answer where the request sets no limit; for estimates only."""
BYTES_PER_FLOAT, BYTES_PER_BASE64_FLOAT = 10, 5.3
FIRST_BACKOFF_S, LONGEST_BACKOFF_S, JITTER = 1.0, 60.0, 0.25

TOO_LATE = timedelta(milliseconds=50)
"""With less than this left nothing is asked any more."""

Find = Callable[[str, str], Offer | None]
Ailing = Callable[[str], str | None]
"""Why a provider is better not asked now, by its id; None: nothing is known against it."""


def nobody(_: str) -> None:
    """Nothing is known of any provider's health."""


@dataclass(frozen=True)
class Needs:
    """What a request asks of a model."""

    capabilities: tuple[str, ...]
    input_tokens: int
    output_tokens: int
    max_cost_usd: Decimal | None
    context_tokens: int


@dataclass(frozen=True)
class Ask:
    """Ask the slip's first candidate after `delay_s` seconds."""

    slip: SlipV1
    delay_s: float = 0.0
    estimated_cost_usd: Decimal | None = None


@dataclass(frozen=True)
class End:
    """The request ends here."""

    status: Status
    error: ErrorV1


@dataclass(frozen=True)
class Rejection:
    """Why a candidate is not asked: an error type and a sentence."""

    type: str
    why: str


def needs_of(request: Request, input_tokens: int) -> Needs:
    """What must be true of a model that answers this request."""
    if isinstance(request, EmbedRequestV1):
        return Needs(("embeddings",), input_tokens, 0, request.max_cost_usd, 0)
    parts = [part for message in request.messages for part in message.parts or ()]
    modalities = {part.modality for part in parts if isinstance(part, BlobPart | UriPart | FilePart)}
    wanted = {
        "vision": bool(modalities & {"image", "video"}),
        "audio": "audio" in modalities,
        "documents": "document" in modalities,
        "tools": bool(request.tools),
        "json_schema": False,
        "streaming": request.stream,
    }
    limit = request.sampling.max_output_tokens
    capabilities = tuple(name for name, needed in wanted.items() if needed)
    return Needs(capabilities, input_tokens, limit or DEFAULT_OUTPUT_TOKENS, request.max_cost_usd, input_tokens + (limit or 0))


def candidates_of(request: Request, kind: str, config: ConfigV1) -> tuple[str | None, tuple[CandidateV1, ...]] | ErrorV1:
    """The route's name and its candidates in order; a pinned model is the only candidate and has no route."""
    if request.model is not None:
        provider, _, model = request.model.partition("/")
        if not any(p.id == provider and any(m.id == model for m in p.models) for p in config.providers):
            return ErrorV1(
                type="no_candidate",
                message=f"model {request.model!r} is not configured; write it as provider/model, as listed by 'headrace models'",
                field="model",
            )
        return request.route, (CandidateV1(provider=provider, model=model),)
    name = request.route or ("embedding" if kind == "embed" and "embedding" in config.routes else "default")
    route = config.routes.get(name)
    if route is None:
        return ErrorV1(type="no_candidate", message=f"route {name!r} is not configured; routes are {', '.join(sorted(config.routes)) or 'none'}", field="route")
    named = (CandidateV1(provider=c.model.partition("/")[0], model=c.model.partition("/")[2]) for c in route.candidates)
    return name, tuple(dict.fromkeys(named))


def first(candidates: Sequence[CandidateV1], needs: Needs, find: Find, field: str, tenant_error: ErrorV1 | None = None, ailing: Ailing = nobody) -> Ask | End:
    """The first call: candidates that cannot serve the request are set aside with their reasons, those of unhealthy providers behind the others."""
    if tenant_error is not None:
        return End("refused", tenant_error)
    kept: list[CandidateV1] = []
    rejections: list[Rejection] = []
    rejected: list[RejectedV1] = []
    for candidate in candidates:
        rejection = unfit(find(candidate.provider, candidate.model), needs, Decimal(0))
        if rejection is None:
            kept.append(candidate)
        else:
            rejections.append(rejection)
            rejected.append(RejectedV1(model=str(candidate), why=rejection.why))
    if not kept:
        types = {rejection.type for rejection in rejections}
        kind = types.pop() if len(types) == 1 else "no_candidate"
        return End(
            "refused",
            ErrorV1(type=kind, message=f"no candidate can serve this request: {rejections[0].why}", field=_field(kind, field), rejected=tuple(rejected)),
        )
    in_order, warnings = behind(kept, ailing)
    slip = SlipV1(candidates=in_order, rejected=tuple(rejected), warnings=warnings)
    return Ask(slip, estimated_cost_usd=estimate(find, in_order[0], needs))


def behind(candidates: Sequence[CandidateV1], ailing: Ailing) -> tuple[tuple[CandidateV1, ...], tuple[WarningV1, ...]]:
    """Candidates of unhealthy providers after all others, and a warning for each that another one overtook. Nothing is refused for health alone."""
    reasons = [(candidate, ailing(candidate.provider)) for candidate in candidates]
    well = [candidate for candidate, why in reasons if why is None]
    ill = [(candidate, why) for candidate, why in reasons if why is not None]
    if not ill:
        return tuple(candidates), ()
    last_well = candidates.index(well[-1]) if well else -1
    warnings = tuple(
        WarningV1(type="provider_unhealthy", message=f"{candidate} was not asked in its turn: {why}")
        for candidate, why in ill
        if candidates.index(candidate) < last_well
    )
    return (*well, *(candidate for candidate, _ in ill)), warnings


def _field(kind: str, asked_by: str) -> str | None:
    return "max_cost_usd" if kind in ("budget_exceeded", "unpriced") else asked_by if kind == "no_candidate" else None


def unfit(offer: Offer | None, needs: Needs, spent: Decimal) -> Rejection | None:
    """Why an offer cannot serve these needs after `spent` USD, or None. A cost equal to the limit is allowed."""
    if offer is None:
        return Rejection("no_candidate", "not configured")
    missing = [name for name in needs.capabilities if not offer.can(name)]
    if missing:
        return Rejection("no_candidate", f"does not offer {', '.join(missing)}")
    if offer.context_window is not None and needs.context_tokens > offer.context_window:
        return Rejection("context_too_long", f"about {needs.context_tokens} tokens do not fit its context window of {offer.context_window}")
    if needs.max_cost_usd is None:
        return None
    cost = offer.price.estimate(needs.input_tokens, needs.output_tokens) if offer.price else None
    if cost is None:
        return Rejection("unpriced", "its price is unknown, and max_cost_usd is set")
    if spent + cost > needs.max_cost_usd:
        return Rejection("budget_exceeded", f"about {spent + cost:f} USD with what was spent, above max_cost_usd {needs.max_cost_usd:f}")
    return None


def estimate(find: Find, candidate: CandidateV1, needs: Needs) -> Decimal | None:
    """What a call may cost, USD; None where the price is unknown."""
    offer = find(candidate.provider, candidate.model)
    return offer.price.estimate(needs.input_tokens, needs.output_tokens) if offer and offer.price else None


def answer_too_large(request: Request, offer: Offer | None, limit_bytes: int) -> ErrorV1 | None:
    """An embed request whose vectors cannot fit one message is refused before it is paid for."""
    dimensions = (request.dimensions or (offer.dimensions if offer else None) or 0) if isinstance(request, EmbedRequestV1) else 0
    if not isinstance(request, EmbedRequestV1) or not dimensions:
        return None
    size = int(len(request.input) * dimensions * (BYTES_PER_FLOAT if request.encoding == "float" else BYTES_PER_BASE64_FLOAT))
    if size <= limit_bytes:
        return None
    return ErrorV1(
        type="too_large",
        message=f"{len(request.input)} vectors of {dimensions} need about {size} bytes, one result holds {limit_bytes}; split the input",
        field="input",
    )


def after_failure(attempt: AttemptFinishedV1, needs: Needs, find: Find, now: datetime, jitter: float, ailing: Ailing = nobody) -> Ask | End:
    """What follows a failed attempt: the same candidate again, the next one, or the end. `jitter` lies in [-1, 1]."""
    origin, summary = attempt.origin, attempt.summary
    attempts = (*attempt.slip.attempts, summary)
    early = _ended(origin, summary, now)
    if early is not None:
        return early
    traits = FAILURES[summary.outcome]  # type: ignore[index]  # a failed attempt's outcome is a failure type
    pinned = attempt.slip.pinned_by_stream or attempt.streamed or (origin.stream and summary.outcome == "outcome_unknown")
    warnings = (*attempt.slip.warnings, *attempt.warnings)
    slip = attempt.slip.model_copy(update={"attempts": attempts, "warnings": warnings, "pinned_by_stream": pinned, "queue_s": waited_s(attempt)})
    current = find(summary.provider, summary.model)
    if traits.failover and not pinned and ailing(summary.provider) is not None:
        moved = _next(slip, attempt, needs, find, ailing)
        if isinstance(moved, Ask) and ailing(moved.slip.candidates[0].provider) is None:
            return moved
    if traits.retryable and current is not None and _calls_of(attempts, summary) < traits.max_calls:
        delay_s = backoff_s(_calls_of(attempts, summary), attempt.retry_after_s, jitter)
        over_budget = unfit(current, needs, spent(attempts, find, needs))
        if now + timedelta(seconds=delay_s) < origin.deadline and over_budget is None:
            return Ask(slip, delay_s, estimate(find, slip.candidates[0], needs))
    if pinned or not traits.failover:
        return End("failed", _error(summary, slip.rejected, retryable=traits.retryable))
    return _next(slip, attempt, needs, find, ailing)


def _next(slip: SlipV1, attempt: AttemptFinishedV1, needs: Needs, find: Find, ailing: Ailing) -> Ask | End:
    rejected = list(slip.rejected)
    left, warnings = behind(slip.candidates[1:], ailing)
    told = (*slip.warnings, *(warning for warning in warnings if warning not in slip.warnings))
    for index, candidate in enumerate(left):
        rejection = unfit(find(candidate.provider, candidate.model), needs, spent(slip.attempts, find, needs))
        if rejection is None:
            moved = slip.model_copy(update={"candidates": left[index:], "rejected": tuple(rejected), "warnings": told})
            return Ask(moved, 0.0, estimate(find, candidate, needs))
        rejected.append(RejectedV1(model=str(candidate), why=rejection.why))
    return End("failed", _error(attempt.summary, tuple(rejected), retryable=FAILURES[attempt.summary.outcome].retryable))  # type: ignore[index]  # as above


def after_verdict(attempt: AttemptFinishedV1, needs: Needs, find: Find, now: datetime) -> Ask | End:
    """A repair turn asks the same candidate again, if deadline and budget allow."""
    attempts = (*attempt.slip.attempts, attempt.summary)
    if now >= attempt.origin.deadline - TOO_LATE:
        return End("expired", deadline_exceeded(attempt.origin))
    rejection = unfit(find(attempt.summary.provider, attempt.summary.model), needs, spent(attempts, find, needs))
    if rejection is not None:
        return End(
            "failed",
            ErrorV1(type="invalid_output", message=f"the answer broke its schema and may not be repaired: {rejection.why}", provider=attempt.summary.provider),
        )
    warnings = (*attempt.slip.warnings, *attempt.warnings)
    changes = {"attempts": attempts, "warnings": warnings, "repairs": attempt.slip.repairs + 1, "queue_s": waited_s(attempt)}
    slip = attempt.slip.model_copy(update=changes)
    return Ask(slip, 0.0, estimate(find, slip.candidates[0], needs))


def waited_s(attempt: AttemptFinishedV1) -> float | None:
    """Seconds that the request waited before its first call was begun."""
    return attempt.slip.queue_s if attempt.slip.queue_s is not None else attempt.queue_s


def _ended(origin: OriginV1, summary: AttemptSummaryV1, now: datetime) -> End | None:
    if summary.outcome == "cancelled":
        return End("cancelled", ErrorV1(type="cancelled", message="cancelled by its producer"))
    if summary.outcome == "expired" or now >= origin.deadline - TOO_LATE:
        return End("expired", deadline_exceeded(origin))
    return None


def deadline_exceeded(origin: OriginV1) -> ErrorV1:
    return ErrorV1(type="deadline_exceeded", message=f"not answered by {origin.deadline.isoformat()}", field=None)


def _calls_of(attempts: Sequence[AttemptSummaryV1], of: AttemptSummaryV1) -> int:
    """How often a candidate failed this request; its answers that needed repair do not count."""
    return sum(a.provider == of.provider and a.model == of.model and a.outcome != "answered" for a in attempts)


def backoff_s(calls: int, retry_after_s: float | None, jitter: float) -> float:
    """1, 2, 4 … 60 s, ±25 %; never less than the provider asks for."""
    delay: float = min(FIRST_BACKOFF_S * 2 ** (calls - 1), LONGEST_BACKOFF_S) * (1 + JITTER * jitter)
    return max(delay, retry_after_s or 0.0)


def spent(attempts: Sequence[AttemptSummaryV1], find: Find, needs: Needs) -> Decimal:
    """USD so far; an attempt of unknown cost counts as what it may have cost."""
    costs = (a.cost_usd if a.cost_usd is not None else estimate(find, CandidateV1(provider=a.provider, model=a.model), needs) for a in attempts)
    return sum((cost for cost in costs if cost is not None), Decimal(0))


def _error(summary: AttemptSummaryV1, rejected: tuple[RejectedV1, ...], *, retryable: bool) -> ErrorV1:
    message = summary.error.message if summary.error else summary.outcome
    return ErrorV1(type=summary.outcome, message=message, provider=summary.provider, retryable=retryable, rejected=rejected)


def capable_of(request: Request) -> str:
    """The field that chose the candidates."""
    return "model" if request.model is not None else "route"


def corrected(request: ChatRequestV1, slip: SlipV1) -> ChatRequestV1:
    """The conversation with what a repair turn adds."""
    return request.model_copy(update={"messages": (*request.messages, *slip.correction)}) if slip.correction else request
