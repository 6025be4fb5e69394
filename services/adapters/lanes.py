"""How a provider's calls in flight are shared between lanes. Pure."""

from bus.streams import SERVED_LANES, Consumer
from contracts.config import ProviderV1

FEWEST_TO_SHARE = 4
"""Below this many in flight all lanes of a provider share one consumer."""


def shares(provider: ProviderV1) -> dict[str, int]:
    """Calls in flight for each lane, by weight, at least one each; their sum is `max_in_flight`."""
    if provider.max_in_flight < FEWEST_TO_SHARE:
        return {"all": provider.max_in_flight}
    weights = {lane: getattr(provider.lanes, lane) for lane in SERVED_LANES}
    spare, total = provider.max_in_flight - len(weights), sum(weights.values())
    given = {lane: 1 + spare * weight // total for lane, weight in weights.items()}
    for lane in sorted(weights, key=lambda lane: -(spare * weights[lane] % total))[: provider.max_in_flight - sum(given.values())]:
        given[lane] += 1
    return given


def consumers_of(provider: ProviderV1, prefix: str) -> list[Consumer]:
    """The durables of a provider on CALLS. Their names end in a lane or `all`, so that no two providers' names meet.

    Each begins with one call in flight, which is safe whatever the others hold; the lender gives it the rest.
    """
    return [
        Consumer("CALLS", durable(provider.id, lane), (f"{prefix}call.{provider.id}.{'>' if lane == 'all' else f'{lane}.>'}",), max_ack_pending=1, lent=True)
        for lane in shares(provider)
    ]


def durable(provider: str, lane: str) -> str:
    return f"adapter-{provider}-{lane}"


def all_durables(provider: str) -> list[str]:
    """Every durable that a provider's consumers may ever have had."""
    return [durable(provider, lane) for lane in (*SERVED_LANES, "all")]
