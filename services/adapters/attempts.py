"""From what a provider gave to the attempt that is published: usage, price, timings. Pure."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from catalog.models import Offer
from contracts.attempt import AttemptFinishedV1
from contracts.call import CallV1
from contracts.outcome import NO_USAGE, AttemptErrorV1, AttemptSummaryV1, CostBasis, UsageV1
from services.adapters.protocol import Answer, Failure


@dataclass(frozen=True)
class Dial:
    """The facts of one dial. Seconds; `streamed`: a content delta went out."""

    call_seq: int
    queue_s: float
    duration_s: float
    first_token_s: float | None
    streamed: bool


def attempt_of(call: CallV1, outcome: Answer | Failure, offer: Offer | None, dial: Dial, now: datetime) -> AttemptFinishedV1:
    """The attempt, priced once and for all."""
    usage = usage_of(outcome)
    cost, basis = cost_of(outcome, usage, offer)
    failure = outcome if isinstance(outcome, Failure) else None
    answer = outcome if isinstance(outcome, Answer) else None
    summary = AttemptSummaryV1(
        n=call.n,
        provider=call.provider,
        model=call.model,
        outcome=failure.type if failure else "answered",
        finish_reason=answer.finish_reason if answer else None,
        error=AttemptErrorV1(type=failure.type, message=failure.message, provider_code=failure.provider_code) if failure else None,
        usage=usage,
        cost_usd=cost,
        duration_s=round(dial.duration_s, 6),
    )
    return AttemptFinishedV1(
        origin=call.origin,
        slip=call.slip,
        summary=summary,
        message=outcome.message if isinstance(outcome, Answer) else outcome.partial,
        embeddings=answer.embeddings if answer else None,
        response_model=answer.response_model if answer else None,
        response_id=answer.response_id if answer else None,
        cost_basis=basis,
        estimated_cost_usd=call.estimated_cost_usd,
        price_version=offer.price.version if offer and offer.price else None,
        retry_after_s=failure.retry_after_s if failure else None,
        streamed=dial.streamed,
        queue_s=round(dial.queue_s, 6),
        first_token_s=None if dial.first_token_s is None else round(dial.first_token_s, 6),
        warnings=answer.warnings if answer else (),
        call_seq=dial.call_seq,
        occurred_at=now,
    )


def usage_of(outcome: Answer | Failure) -> UsageV1:
    """What was used; unknown where a failed call may have been billed."""
    if isinstance(outcome, Answer):
        return outcome.usage
    return outcome.usage or (NO_USAGE if outcome.usage_known_zero else UsageV1())


def cost_of(outcome: Answer | Failure, usage: UsageV1, offer: Offer | None) -> tuple[Decimal | None, CostBasis]:
    """USD and what it rests on: the provider's own figure, usage times price, or nothing."""
    if isinstance(outcome, Failure) and outcome.usage_known_zero and outcome.usage is None:
        return Decimal(0), "usage"
    if isinstance(outcome, Answer) and outcome.cost_usd is not None:
        return outcome.cost_usd, "provider"
    cost = offer.price.cost(usage) if offer and offer.price else None
    return cost, "unknown" if cost is None else "usage"
