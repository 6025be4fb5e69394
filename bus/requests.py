"""Stored requests read back from REQUESTS (48 h): page by page, by sequence, or by id."""

import json
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bus import cloud_events
from bus.connection import Bus
from bus.reading import first_since, past_the_end
from bus.stored import Stored
from contracts.attempt import AttemptFinishedV1
from contracts.base import TENANT
from contracts.identity import request_id_of
from contracts.request import KINDS, LANES
from contracts.result import ResultV1

STREAM = "REQUESTS"
PAGE = 256


@dataclass(frozen=True)
class StoredRequest:
    """A request as its producer sent it. `document` is its JSON, out of a CloudEvent if it came in one."""

    seq: int
    tenant: str
    kind: str
    lane: str
    request_id: str
    document: dict[str, Any]


def read(bus: Bus, subject: str, headers: dict[str, str], seq: int, body: bytes) -> StoredRequest:
    """Raises ValueError for what is not a chat or embed request of a valid tenant under a usable id."""
    tokens = bus.subjects.tokens(subject)
    document, request_id = named(headers, seq, body)
    if len(tokens) < 3 or not TENANT.match(tokens[1]) or tokens[2] not in KINDS or not isinstance(document, dict):
        raise ValueError(f"'{'.'.join(tokens)}' does not carry a chat or embed request of a valid tenant")
    asked = tokens[3] if len(tokens) > 3 else document.get("lane")
    return StoredRequest(seq, tokens[1], tokens[2], asked if asked in LANES else "standard", request_id, document)


def named(headers: Mapping[str, str], seq: int, body: bytes) -> tuple[Any, str]:
    """The JSON in a request's bytes, out of a CloudEvent if it came in one, and its id. Raises ValueError."""
    try:
        document = json.loads(body)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if cloud_events.is_structured(headers):
        event, document = cloud_events.structured(document), cloud_events.data_of(document)
    else:
        event = cloud_events.binary(headers)
    return document, request_id_of(document, headers, event, seq) or f"seq-{seq}"


async def at(bus: Bus, seq: int) -> StoredRequest | None:
    """The request at a sequence, unless it has gone. Raises ValueError where something else stands."""
    stored = await bus.get(STREAM, seq)
    return None if stored is None else _read(bus, stored)


async def pages(bus: Bus, tenant: str, since: datetime | int | None = None, until: datetime | int | None = None) -> AsyncIterator[list[StoredRequest]]:
    """A tenant's requests stored from `since` until before `until` (times or sequences), oldest first; what is no request is left out."""
    subject = f"{bus.subjects.prefix}request.{tenant}.>"
    seq = since if isinstance(since, int) else await first_since(bus, STREAM, subject, since)
    end = await past_the_end(bus, STREAM, subject)
    if until is not None:
        end = min(end, until if isinstance(until, int) else await first_since(bus, STREAM, subject, until))
    while seq < end and (page := await bus.scan(STREAM, seq, PAGE, subject)):
        seq = page[-1].seq + 1
        yield [request for stored in page if stored.seq < end and (request := _readable(bus, stored)) is not None]


async def sequences(bus: Bus, tenant: str, ids: Collection[str]) -> dict[str, int]:
    """Where these requests stand; an id that is not there is left out. What came of a request tells; only what is under way must be looked for."""
    found: dict[str, int] = {}
    for request_id in ids:
        seq = await _told(bus, tenant, request_id)
        if seq is not None:
            found[request_id] = seq
    missing = set(ids) - set(found)
    if missing:
        async for page in pages(bus, tenant):
            for request in page:
                if request.request_id in missing:
                    found.setdefault(request.request_id, request.seq)
    return found


async def _told(bus: Bus, tenant: str, request_id: str) -> int | None:
    result = await bus.last("RESULTS", bus.subjects.result(tenant, request_id))
    if result is not None and (seq := ResultV1.model_validate_json(result.body).request_seq) is not None:
        return seq
    attempt = await bus.last("ATTEMPTS", bus.subjects.any_attempt(tenant, request_id))
    return None if attempt is None else AttemptFinishedV1.model_validate_json(attempt.body).origin.request_seq


def _read(bus: Bus, stored: Stored) -> StoredRequest:
    return read(bus, stored.subject, stored.headers, stored.seq, stored.body)


def _readable(bus: Bus, stored: Stored) -> StoredRequest | None:
    try:
        return _read(bus, stored)
    except ValueError:
        return None
