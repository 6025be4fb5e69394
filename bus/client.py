"""A producer and consumer of Headrace for Python: publish requests, await results, follow streams, cancel."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, TypeVar

import nats.errors
from nats.aio.msg import Msg
from pydantic import BaseModel, ValidationError

from bus.awaiting import NoResult, Results
from bus.connection import Bus
from bus.errors import Unavailable
from bus.reading import first_since, in_order
from contracts.cancel import CancelV1
from contracts.delta import DeltaV1
from contracts.identity import usable
from contracts.request import LANES, EmbedRequestV1, Request
from contracts.result import ResultV1
from observability.tracing import of_caller

LOOK_AGAIN_S = 2.0
"""How often a waiting reader asks the stream, in case the live copy was lost with a connection."""

Model = TypeVar("Model", bound=BaseModel)


class NotStored(Exception):
    """The bus acknowledged a request that it did not store."""


class HeadraceClient:
    """Speaks for one tenant. Every method may be used by many tasks at once."""

    def __init__(self, bus: Bus, tenant: str = "default") -> None:
        self.bus = bus
        self.tenant = tenant

    async def publish(self, request: dict[str, Any] | Request, lane: str = "standard") -> str:
        """Store a request on the bus and return the id under which its result will appear.

        A dictionary is sent as it is, so that the pipeline judges it; its own `lane` wins over `lane`. It goes on in the OpenTelemetry trace that is open where
        this is called. Raises Full, Unavailable, NotStored.
        """
        body = _body(request)
        body.setdefault("id", uuid.uuid4().hex)
        if body["id"] is None:
            body["id"] = uuid.uuid4().hex
        kind = "embed" if "input" in body else "chat"
        asked = body.get("lane")
        subject = self.bus.subjects.request(self.tenant, kind, asked if asked in LANES else lane)
        ack = await self.bus.publish(subject, json.dumps(body, ensure_ascii=False).encode(), of_caller())
        if ack.duplicate:
            raise NotStored(f"request {body['id']!r} was dropped by the bus as a duplicate; publish it again")
        return str(body["id"]) if usable(body["id"]) else f"seq-{ack.seq}"

    async def result(self, request_id: str, timeout_s: float = 120) -> ResultV1:
        """The result of a request, awaited for `timeout_s`. Raises NoResult."""
        async with self._listening(self.bus.subjects.result(self.tenant, request_id)) as heard:
            return await self._await_result(request_id, heard, timeout_s)

    def awaiting(self) -> Results:
        """For many results at once: `async with client.awaiting() as results`, then `results.result(id, timeout_s)`."""
        return Results(self.bus, self.tenant)

    async def ask(self, request: dict[str, Any] | Request, lane: str = "interactive", timeout_s: float = 120) -> ResultV1:
        """Publish a request and await its result."""
        return await self.result(await self.publish(request, lane), timeout_s)

    async def cancel(self, request_id: str, reason: str | None = None) -> None:
        """End a request, begun or not."""
        subject = self.bus.subjects.cancel(self.tenant, request_id)
        await self.bus.publish(subject, CancelV1(reason=reason).model_dump_json(exclude_none=True).encode(), of_caller())

    async def find(self, request_id: str) -> ResultV1 | None:
        """The result of a request if there is one now."""
        return await self._find(request_id, any_replica=False)

    async def _find(self, request_id: str, *, any_replica: bool) -> ResultV1 | None:
        stored = await self.bus.last("RESULTS", self.bus.subjects.result(self.tenant, request_id), any_replica=any_replica)
        return None if stored is None else ResultV1.model_validate_json(stored.body)

    async def stream(self, request_id: str, timeout_s: float = 120) -> AsyncIterator[DeltaV1]:
        """The deltas of a streamed request in order, from its first one on, until its result is there. Raises NoResult.

        After a gap that cannot be filled nothing more of that `n` is shown: read the result.
        """
        subject = self.bus.subjects.delta(self.tenant, request_id)
        last = (0, -1)
        async with self._listening(subject) as heard, self._listening(self.bus.subjects.result(self.tenant, request_id)) as ended:
            ending = asyncio.create_task(self._await_result(request_id, ended, timeout_s))
            try:
                batch = await self._stored_deltas(subject)
                while True:
                    if not in_order(batch, last)[1]:
                        batch += await self._stored_deltas(subject)
                    ready, _ = in_order(batch, last)
                    for delta in ready:
                        last = (delta.n, delta.seq)
                        yield delta
                    if ending.done():
                        for delta in in_order(await self._stored_deltas(subject), last)[0]:
                            yield delta
                        ending.result()
                        return
                    batch = await _next_deltas(heard, ending)
            finally:
                ending.cancel()

    async def results(self, since: int | datetime | None = None, follow: bool = False) -> AsyncIterator[ResultV1]:
        """The tenant's results from a sequence or time on, in the order of the stream; with `follow` also those to come."""
        subject = self.bus.subjects.result(self.tenant, "*")
        async with self._listening(subject) as heard:
            seq = since if isinstance(since, int) else await first_since(self.bus, "RESULTS", subject, since)
            while True:
                page = await self.bus.scan("RESULTS", seq, 256, subject)
                for stored in page:
                    seq = stored.seq + 1
                    yield ResultV1.model_validate_json(stored.body)
                if page:
                    continue
                if not follow:
                    return
                await _wake(heard)

    async def _await_result(self, request_id: str, heard: "asyncio.Queue[Msg]", timeout_s: float) -> ResultV1:
        """The live copy or the stored one, whichever is seen first."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        while True:
            try:
                found = await self._find(request_id, any_replica=True)  # one that lags is asked again; a leader may be missing for seconds
            except Unavailable:
                found = None
            if found is not None:
                return found
            left = end - loop.time()
            if left <= 0:
                raise NoResult(f"no result of {request_id!r} within {timeout_s:g} s; it goes on: read it later with 'headrace results {request_id}'")
            try:
                message = await asyncio.wait_for(heard.get(), min(left, LOOK_AGAIN_S))
            except TimeoutError:
                continue
            return ResultV1.model_validate_json(message.data)

    async def _stored_deltas(self, subject: str) -> list[DeltaV1]:
        try:
            return _parsed(DeltaV1, [stored.body for stored in await self.bus.scan("DELTAS", 1, 4096, subject)])
        except Unavailable:
            return []

    @asynccontextmanager
    async def _listening(self, subject: str) -> AsyncIterator["asyncio.Queue[Msg]"]:
        """Core messages on `subject` from the moment this is entered."""
        queue: asyncio.Queue[Msg] = asyncio.Queue()

        async def put(message: Msg) -> None:
            queue.put_nowait(message)

        subscription = await self.bus.nc.subscribe(subject, cb=put)
        try:
            yield queue  # the server reads the subscription before whatever is asked after it over this connection
        finally:
            if not self.bus.nc.is_closed:
                with suppress(nats.errors.BadSubscriptionError, nats.errors.ConnectionClosedError):
                    await subscription.unsubscribe()


def _body(request: dict[str, Any] | Request) -> dict[str, Any]:
    if isinstance(request, dict):
        return dict(request)
    body = request.model_dump(mode="json", exclude_unset=True)
    return {"input": list(request.input), **body} if isinstance(request, EmbedRequestV1) else body


def _parsed(model: type[Model], bodies: list[bytes]) -> list[Model]:
    """What can be read; a delta that cannot is a gap, and the result tells all."""
    parsed = []
    for body in bodies:
        try:
            parsed.append(model.model_validate_json(body))
        except ValidationError:
            continue
    return parsed


async def _next_deltas(heard: "asyncio.Queue[Msg]", ending: "asyncio.Task[ResultV1]") -> list[DeltaV1]:
    """What arrived since; empty when the result came first."""
    getting = asyncio.create_task(heard.get())
    try:
        await asyncio.wait({getting, ending}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not getting.done():
            getting.cancel()
    bodies = [getting.result().data] if getting.done() and not getting.cancelled() else []
    while not heard.empty():
        bodies.append(heard.get_nowait().data)
    return _parsed(DeltaV1, bodies)


async def _wake(heard: "asyncio.Queue[Msg]") -> None:
    """Return when something was heard, or after a while all the same."""
    try:
        await asyncio.wait_for(heard.get(), LOOK_AGAIN_S)
    except TimeoutError:
        return
    while not heard.empty():
        heard.get_nowait()
