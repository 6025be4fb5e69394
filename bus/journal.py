"""The journal: who has taken a call (delivery rule 4)."""

from datetime import UTC, datetime, timedelta

from bus.connection import Bus
from bus.errors import Exists
from contracts.call import CallBegunV1
from contracts.origin import OriginV1

KEPT_AFTER_DEADLINE = timedelta(minutes=10)


async def claim(bus: Bus, origin: OriginV1, n: int, entry: CallBegunV1) -> CallBegunV1 | None:
    """Claim call `n` of a request before dialling. None: it is ours. Else the entry that stood there first.

    Waits as long as the bus is away.
    """
    subject = bus.subjects.begun(origin.tenant, origin.request_id, n)
    ttl = max(60, int((origin.deadline + KEPT_AFTER_DEADLINE - datetime.now(UTC)).total_seconds()))
    while True:
        try:
            await bus.persist(subject, entry.model_dump_json().encode(), {"Nats-TTL": f"{ttl}s"}, none_on=subject, stream="JOURNAL")
        except Exists:
            first = await begun(bus, origin, n)
            if first is not None:
                return first  # one that has expired since is no claim, and its absence none of ours: claim again
        else:
            return None


async def begun(bus: Bus, origin: OriginV1, n: int) -> CallBegunV1 | None:
    """The journal entry of a call, if it was begun."""
    stored = await bus.last("JOURNAL", bus.subjects.begun(origin.tenant, origin.request_id, n))
    return None if stored is None else CallBegunV1.model_validate_json(stored.body)
