"""Dead letters read, and sent again: the same bytes, or a new request with another route or model."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from bus.connection import Bus
from contracts.attempt import AttemptFinishedV1
from contracts.base import REQUEST_ID, TENANT
from contracts.call import CallV1
from contracts.dead_letter import DeadLetterV1
from contracts.request import KINDS, LANES
from contracts.verdict import RepairOrderedV1

STREAM = "DEAD_LETTERS"
IDEMPOTENT_SERVICES = frozenset({"meter"})
"""They make no call and nothing twice: their dead letters are sent again even after the result."""


class NotReplayable(Exception):
    """This dead letter cannot be sent again in this way; the text says why and what can be done."""


@dataclass(frozen=True)
class Replayed:
    """What a replay did. `sent` is False when a result stood there already."""

    request_id: str | None
    sent: bool
    subject: str | None


async def dead_letters(bus: Bus, tenant: str | None = None) -> AsyncIterator[DeadLetterV1]:
    """All dead letters, oldest first; those of one tenant if it is given."""
    seq = 1
    while page := await bus.scan(STREAM, seq, 256, bus.subjects.dead("*", tenant or "*")):
        for stored in page:
            seq = stored.seq + 1
            yield DeadLetterV1.model_validate_json(stored.body)


async def find(bus: Bus, letter_id: str) -> DeadLetterV1 | None:
    """The dead letter of this id, the newest one where it died again."""
    found = None
    async for letter in dead_letters(bus):
        if letter.id == letter_id:
            found = letter
    return found


async def replay(bus: Bus, letter: DeadLetterV1, *, route: str | None = None, model: str | None = None) -> Replayed:
    """Send it again: as it was, or as a new request with another route or model. Raises NotReplayable, Unavailable."""
    if route is None and model is None:
        return await _again(bus, letter)
    return await _changed(bus, letter, {"route": route, "model": model})


async def _again(bus: Bus, letter: DeadLetterV1) -> Replayed:
    request_id = letter.request_id or _id_in(await _body(bus, letter))
    if letter.service not in IDEMPOTENT_SERVICES and await _has_result(bus, letter.tenant, request_id):
        return Replayed(request_id, False, None)
    headers = {name: value for name, value in letter.headers.items() if _belongs_to_the_producer(name)}
    await bus.publish(letter.source.subject, await _body(bus, letter), headers)
    return Replayed(request_id, True, letter.source.subject)


def _belongs_to_the_producer(header: str) -> bool:
    """What the server or a guarded publish wrote may not be sent again; `Nats-Msg-Id` may be where a request's id comes from."""
    return not header.startswith("Nats-") or header == "Nats-Msg-Id"


async def _changed(bus: Bus, letter: DeadLetterV1, changes: dict[str, str | None]) -> Replayed:
    tenant, kind, lane, request = await _request(bus, letter)
    original = letter.request_id or request.get("id")
    new_id = "replay-" + hashlib.sha256(json.dumps([tenant, original or letter.id, changes]).encode()).hexdigest()[:32]
    if await _has_result(bus, tenant, new_id):
        return Replayed(new_id, False, None)
    request |= {"id": new_id, "replay_of": original if isinstance(original, str) and REQUEST_ID.match(original) else None, **changes}
    if _is_past(request.get("deadline")):
        request["deadline"] = None
    subject = bus.subjects.request(tenant, kind, lane)
    await bus.publish(subject, json.dumps(request, ensure_ascii=False).encode())
    return Replayed(new_id, True, subject)


async def _request(bus: Bus, letter: DeadLetterV1) -> tuple[str, str, str, dict[str, Any]]:
    """Tenant, kind, lane and body of the request that a dead letter belongs to, wherever on its way it died."""
    body, tokens = await _body(bus, letter), bus.subjects.tokens(letter.source.subject)
    try:
        if tokens[0] == "request":
            return _checked(tokens, json.loads(body))
        if tokens[0] == "call":
            call = CallV1.model_validate_json(body)
            asked = call.chat or call.embed
            if asked is None:
                raise NotReplayable(f"dead letter {letter.id!r} holds a call without a request; it can only be replayed as it is")
            return call.origin.tenant, call.origin.kind, call.origin.lane, asked.model_dump(mode="json", exclude_unset=True)
        attempt = AttemptFinishedV1.model_validate_json(body) if tokens[0] == "attempt" else RepairOrderedV1.model_validate_json(body).attempt
    except (ValueError, RecursionError) as error:
        raise NotReplayable(f"dead letter {letter.id!r} holds bytes that are not a request ({_first_line(error)}); it can only be replayed as it is") from error
    stored = await bus.get("REQUESTS", attempt.origin.request_seq)
    if stored is None:
        raise NotReplayable(f"request {attempt.origin.request_seq} has left REQUESTS (48 h); publish it again")
    return _checked(bus.subjects.tokens(stored.subject), json.loads(stored.body))


def _checked(tokens: list[str], request: Any) -> tuple[str, str, str, dict[str, Any]]:
    if len(tokens) < 3 or not TENANT.match(tokens[1]) or tokens[2] not in KINDS or not isinstance(request, dict):
        raise ValueError(f"'{'.'.join(tokens)}' does not carry a chat or embed request of a valid tenant")
    asked = tokens[3] if len(tokens) > 3 else request.get("lane")
    return tokens[1], tokens[2], asked if asked in LANES else "standard", request


async def _body(bus: Bus, letter: DeadLetterV1) -> bytes:
    """The bytes in the entry; what was too large for it is still in its stream."""
    if letter.body_base64:
        return base64.b64decode(letter.body_base64)
    stored = await bus.get(letter.source.stream, letter.source.sequence)
    return b"" if stored is None else stored.body


async def _has_result(bus: Bus, tenant: str | None, request_id: str | None) -> bool:
    if not tenant or not request_id or not REQUEST_ID.match(request_id):
        return False
    return await bus.last("RESULTS", bus.subjects.result(tenant, request_id)) is not None


def _id_in(body: bytes) -> str | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    found = document.get("id") if isinstance(document, dict) else None
    return found if isinstance(found, str) else None


def _is_past(deadline: object) -> bool:
    try:
        return isinstance(deadline, str) and datetime.fromisoformat(deadline) <= datetime.now(UTC)
    except (ValueError, TypeError):
        return False


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return f"{error.error_count()} fields do not fit"
    return str(error).splitlines()[0]
