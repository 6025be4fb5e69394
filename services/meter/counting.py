"""What a cost adds to the metrics: each event that COSTS holds counts once."""

from contracts.cost import CostRecordedV1
from observability import metrics
from observability.labels import known

TYPES = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write": "cache_write_tokens",
    "reasoning": "reasoning_tokens",
}


def count(event: CostRecordedV1) -> None:
    """Tokens and cost of one event. An estimate that a late answer replaces stays counted, under its own basis."""
    if not metrics.recorded():
        return
    labels = known.tenant(event.tenant), known.provider(event.provider), known.model(event.provider, event.model)
    for kind, field in TYPES.items():
        tokens = getattr(event.usage, field)
        if tokens:
            metrics.TOKENS_METERED.add(tokens, *labels, kind)
    if event.cost_usd is None:
        metrics.COST_UNKNOWN.add(1, *labels)
    else:
        metrics.COST_USD.add(event.cost_usd, *labels, event.basis)
