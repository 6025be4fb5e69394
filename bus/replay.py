"""Replays: a dead letter's bytes again, or any request anew under another route, model or output schema. Done twice, it is done once."""

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from bus import requests
from bus.connection import Bus
from bus.requests import StoredRequest
from contracts.attempt import AttemptFinishedV1
from contracts.base import REQUEST_ID
from contracts.call import CallV1
from contracts.dead_letter import DeadLetterV1
from contracts.identity import RESERVED
from contracts.result import ResultV1
from contracts.verdict import RepairOrderedV1

IDEMPOTENT_SERVICES = frozenset({"meter"})
"""They make no call and nothing twice: their dead letters are sent again even after the result."""


class NotReplayable(Exception):
    """This cannot be sent again in this way; the text says why and what can be done."""


@dataclass(frozen=True)
class Changes:
    """What a replay asks otherwise. With a route or a model the request's own route and model are forgotten; without either they stay."""

    route: str | None = None
    model: str | None = None
    json_schema: dict[str, Any] | None = None

    def __bool__(self) -> bool:
        return (self.route, self.model, self.json_schema) != (None, None, None)

    def replay_id(self, tenant: str, original: str) -> str:
        """The same for the same request and changes, so that the bus itself knows what was done."""
        changes: dict[str, Any] = {"route": self.route, "model": self.model}
        if self.json_schema is not None:
            changes["json_schema"] = self.json_schema
        return "replay-" + hashlib.sha256(json.dumps([tenant, original, changes]).encode()).hexdigest()[:32]

    def applied(self, request: StoredRequest) -> dict[str, Any]:
        """The new request's body. An absolute deadline belonged to the original and is left out. Raises NotReplayable."""
        original = request.request_id
        document = {name: value for name, value in request.document.items() if name != "deadline"}
        document |= {"id": self.replay_id(request.tenant, original), "replay_of": original if REQUEST_ID.match(original) else None}
        if self.route is not None or self.model is not None:
            document |= {"route": self.route, "model": self.model}
        if self.json_schema is not None:
            if request.kind != "chat":
                raise NotReplayable(f"request {original!r} asks for embeddings; an output schema is for chat")
            document["output"] = {"json_schema": self.json_schema}
        return document


@dataclass(frozen=True)
class Prepared:
    """What would be sent, and under which id its result stands or will."""

    tenant: str | None
    request_id: str | None
    subject: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    also: str | None = None
    """An earlier id whose result counts, too."""
    even_after_its_result: bool = False


@dataclass(frozen=True)
class Replayed:
    """What a replay did. `sent` is False when a result stood there already."""

    request_id: str | None
    sent: bool
    subject: str | None
    tenant: str | None = None
    result: ResultV1 | None = None


def anew(bus: Bus, request: StoredRequest, changes: Changes) -> Prepared:
    """A stored request as a new one. Raises NotReplayable."""
    document = changes.applied(request)
    subject = bus.subjects.request(request.tenant, request.kind, request.lane)
    return Prepared(request.tenant, document["id"], subject, json.dumps(document, ensure_ascii=False).encode(errors="surrogatepass"))


async def of_letter(bus: Bus, letter: DeadLetterV1, changes: Changes) -> Prepared:
    """A dead letter as it was, or with changes as a new request. Raises NotReplayable, Unavailable."""
    return anew(bus, await _request(bus, letter), changes) if changes else await _again(bus, letter)


async def send(bus: Bus, prepared: Prepared) -> Replayed:
    """Publish it, unless its result stands there. Raises Unavailable, TooLarge."""
    for request_id in () if prepared.even_after_its_result else (prepared.request_id, prepared.also):
        result = await result_of(bus, prepared.tenant, request_id)
        if result is not None:
            return Replayed(request_id, False, None, prepared.tenant, result)
    await bus.publish(prepared.subject, prepared.body, prepared.headers)
    return Replayed(prepared.request_id, True, prepared.subject, prepared.tenant)


async def _again(bus: Bus, letter: DeadLetterV1) -> Prepared:
    body = await _body(bus, letter)
    headers = {name: value for name, value in letter.headers.items() if _belongs_to_the_producer(name)}
    known, also = letter.request_id, None
    if known is None and bus.subjects.kind(letter.source.subject) == "request":
        known = _named(body, letter)
        if known is not None and known.startswith(RESERVED) and letter.tenant:
            # A message id becomes the id of a request without one: sent twice, it is still one request.
            known, also = Changes().replay_id(letter.tenant, known), known
            headers["Nats-Msg-Id"] = known
    return Prepared(letter.tenant, known, letter.source.subject, body, headers, also, letter.service in IDEMPOTENT_SERVICES)


def _named(body: bytes, letter: DeadLetterV1) -> str | None:
    """The id of the request in these bytes; None where they are none."""
    try:
        document, request_id = requests.named(letter.headers, letter.source.sequence, body)
    except ValueError:
        return None
    return request_id if isinstance(document, dict) else None


def _belongs_to_the_producer(header: str) -> bool:
    """What the server or a guarded publish wrote may not be sent again; `Nats-Msg-Id` may be where a request's id comes from."""
    return not header.startswith("Nats-") or header == "Nats-Msg-Id"


async def _request(bus: Bus, letter: DeadLetterV1) -> StoredRequest:
    """The request that a dead letter belongs to, wherever on its way it died. Raises NotReplayable."""
    body, tokens = await _body(bus, letter), bus.subjects.tokens(letter.source.subject)
    try:
        if tokens[0] == "request":
            return requests.read(bus, letter.source.subject, letter.headers, letter.source.sequence, body)
        if tokens[0] == "call":
            call = CallV1.model_validate_json(body)
            return await requests.at(bus, call.origin.request_seq) or _called(call, letter)
        attempt = AttemptFinishedV1.model_validate_json(body) if tokens[0] == "attempt" else RepairOrderedV1.model_validate_json(body).attempt
        request = await requests.at(bus, attempt.origin.request_seq)
    except ValueError as error:
        raise NotReplayable(f"dead letter {letter.id!r} holds bytes that are not a request ({_first_line(error)}); it can only be replayed as it is") from error
    if request is None:
        raise NotReplayable(f"request {attempt.origin.request_seq} has left REQUESTS (48 h); publish it again")
    return request


def _called(call: CallV1, letter: DeadLetterV1) -> StoredRequest:
    asked, origin = call.chat or call.embed, call.origin
    if asked is None:
        raise NotReplayable(f"dead letter {letter.id!r} holds a call without a request; it can only be replayed as it is")
    return StoredRequest(origin.request_seq, origin.tenant, origin.kind, origin.lane, origin.request_id, asked.model_dump(mode="json", exclude_unset=True))


async def _body(bus: Bus, letter: DeadLetterV1) -> bytes:
    """The bytes in the entry; what was too large for it is still in its stream."""
    if letter.body_base64:
        return base64.b64decode(letter.body_base64)
    stored = await bus.get(letter.source.stream, letter.source.sequence)
    return b"" if stored is None else stored.body


async def result_of(bus: Bus, tenant: str | None, request_id: str | None) -> ResultV1 | None:
    """The stored result of a request that may have no usable name."""
    if not tenant or not request_id or not REQUEST_ID.match(request_id):
        return None
    stored = await bus.last("RESULTS", bus.subjects.result(tenant, request_id))
    return None if stored is None else ResultV1.model_validate_json(stored.body)


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return f"{error.error_count()} fields do not fit"
    return str(error).splitlines()[0]
