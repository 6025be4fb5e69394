"""An embeddings request that is larger than one call may be: split by the provider's limit, put together again."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from contracts.outcome import UsageV1
from contracts.request import EmbedRequestV1

from .protocol import Answer, Failure


def batches_of(request: EmbedRequestV1, limit: int | None) -> list[EmbedRequestV1]:
    """The request as calls of at most `limit` inputs."""
    if limit is None or len(request.input) <= limit:
        return [request]
    return [request.model_copy(update={"input": request.input[start : start + limit]}) for start in range(0, len(request.input), limit)]


def joined(answers: Sequence[Answer]) -> Answer:
    """All vectors in order, all usage, all cost; what one call does not tell is unknown of all."""
    first = answers[0]
    if len(answers) == 1:
        return first
    vectors = [vector for answer in answers for vector in answer.embeddings or ()]
    costs = [answer.cost_usd for answer in answers]
    return replace(
        first,
        embeddings=vectors,  # type: ignore[arg-type]  # one encoding for all: they answer the same request
        usage=_usage(answers),
        cost_usd=sum((cost for cost in costs if cost is not None), Decimal(0)) if None not in costs else None,
        warnings=tuple(dict.fromkeys(warning for answer in answers for warning in answer.warnings)),
    )


def after_others(failure: Failure, answers: Sequence[Answer]) -> Failure:
    """A failure of a later call: the earlier ones have been billed."""
    if not answers:
        return failure
    return replace(failure, usage=_usage(answers) if failure.usage_known_zero else None, usage_known_zero=False)


def _usage(answers: Sequence[Answer]) -> UsageV1:
    def total(name: str) -> int | None:
        counts = [getattr(answer.usage, name) for answer in answers]
        return None if None in counts else sum(counts)

    return UsageV1(**{name: total(name) for name in UsageV1.model_fields})
