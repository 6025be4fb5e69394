"""Making calls: build, schedule and publish call `n` of a request, so that the first writer wins."""

import random
from datetime import UTC, datetime, timedelta

from bus.application import Application
from bus.connection import Bus
from bus.errors import Exists, Reject
from bus.stored import Stored
from bus.subjects import Subjects
from catalog.estimates import estimate_input_tokens
from catalog.models import Catalog
from contracts.attempt import AttemptFinishedV1
from contracts.call import CallV1
from contracts.config import ConfigV1
from contracts.origin import OriginV1
from contracts.request import ChatRequestV1, EmbedRequestV1, Request
from services.router.intake import Accepted, Envelope, envelope, read
from services.router.routing import Ask, Needs, corrected, needs_of

LATER = "later"


class Snapshot:
    """One configuration and its catalog, swapped as a whole when either changes."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._revision: int | None = None
        self._catalog: Catalog | None = None

    @property
    def config(self) -> ConfigV1:
        config = self._app.config.current
        if config is None:
            raise RuntimeError("no configuration; the application waits for one before it consumes")
        return config

    @property
    def catalog(self) -> Catalog:
        if self._catalog is None or self._revision != self._app.config.revision:
            self._revision, self._catalog = self._app.config.revision, Catalog(self.config, revision=self._app.config.revision)
        return self._catalog


def needs(request: Request) -> Needs:
    return needs_of(request, estimate_input_tokens(request))


async def request_of(bus: Bus, origin: OriginV1) -> Request:
    """The request that the bus still holds, by its sequence. Raises Reject when it is gone or no longer readable."""
    stored = await bus.get("REQUESTS", origin.request_seq)
    if stored is None:
        raise Reject("request_gone", f"REQUESTS no longer holds sequence {origin.request_seq}")
    accepted = read(stored.body, _envelope(stored, bus.subjects))
    if not isinstance(accepted, Accepted):
        raise Reject("request_unreadable", f"REQUESTS sequence {origin.request_seq}: {accepted.error.message}")
    return accepted.request


def _envelope(stored: Stored, subjects: Subjects) -> Envelope:
    return envelope(stored.body, subjects.tokens(stored.subject), stored.headers, stored.seq, stored.stored_at, None)


def build(origin: OriginV1, request: Request, n: int, ask: Ask) -> CallV1:
    """Call `n`: to the slip's first candidate, with what a repair turn adds to the conversation."""
    candidate = ask.slip.candidates[0]
    return CallV1(
        n=n,
        provider=candidate.provider,
        model=candidate.model,
        origin=origin,
        slip=ask.slip,
        chat=corrected(request, ask.slip) if isinstance(request, ChatRequestV1) else None,
        embed=request if isinstance(request, EmbedRequestV1) else None,
        estimated_cost_usd=ask.estimated_cost_usd,
    )


async def publish(bus: Bus, call: CallV1, delay_s: float, *, first: bool = False) -> bool:
    """Publish a call now, or scheduled for later. False: somebody published it before. Raises Unavailable, TooLarge."""
    origin = call.origin
    target = bus.subjects.call(call.provider, origin.lane, origin.tenant, origin.request_id, call.n)
    headers = {"Headrace-Deadline": origin.deadline.isoformat()}
    subject = target
    if delay_s > 0:
        at = datetime.now(UTC) + timedelta(seconds=delay_s)
        subject = bus.subjects.call(LATER, origin.lane, origin.tenant, origin.request_id, call.n)
        headers |= {"Nats-Schedule": f"@at {at.isoformat(timespec='milliseconds').replace('+00:00', 'Z')}", "Nats-Schedule-Target": target}
    none_on = bus.subjects.any_call(origin.tenant, origin.request_id, "*" if first else call.n)
    try:
        await bus.publish(subject, call.model_dump_json().encode(), headers, none_on=none_on)
    except Exists:
        return False
    return True


async def overtaken(bus: Bus, attempt: AttemptFinishedV1) -> bool:
    """Whether the request has a result, or its next call has ended already."""
    origin, n = attempt.origin, attempt.summary.n
    if await bus.last("RESULTS", bus.subjects.result(origin.tenant, origin.request_id)) is not None:
        return True
    return await bus.last("ATTEMPTS", bus.subjects.any_attempt(origin.tenant, origin.request_id, n + 1)) is not None


def jitter() -> float:
    return random.uniform(-1, 1)
