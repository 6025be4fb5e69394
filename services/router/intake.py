"""Reading a request: bytes, headers and subject in; an accepted request, a refusal by name, or an undecodable body out."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import jsonschema_rs
from pydantic import ValidationError

from bus import cloud_events
from contracts.base import TENANT
from contracts.identity import request_id_of
from contracts.origin import OriginV1
from contracts.request import DEFAULT_TIMEOUT_S, KINDS, LANES, MAX_TIMEOUT_S, ChatRequestV1, EmbedRequestV1, Lane, Request
from contracts.result import ErrorV1


class Undecodable(ValueError):
    """Neither a request nor a refusal can be made of it: a bad tenant token, or bytes that are not JSON."""


@dataclass(frozen=True)
class Envelope:
    """What the bus says of a request beside its body."""

    tokens: list[str]
    headers: Mapping[str, str]
    seq: int
    stored_at: datetime
    sha256: str
    trace_id: str | None
    event: Mapping[str, str] = field(default_factory=dict)
    """The attributes of the CloudEvent that it is, if it is one."""


@dataclass(frozen=True)
class Accepted:
    """A request that is well-formed; whether a model may answer it is for routing to say."""

    request: Request
    origin: OriginV1


@dataclass(frozen=True)
class Refused:
    """A request that names what is wrong with it."""

    origin: OriginV1
    error: ErrorV1


def envelope(body: bytes, tokens: list[str], headers: Mapping[str, str], seq: int, stored_at: datetime, trace_id: str | None) -> Envelope:
    return Envelope(tokens, headers, seq, stored_at, hashlib.sha256(body).hexdigest(), trace_id)


def read(body: bytes, of: Envelope) -> Accepted | Refused:
    """Decode one request. Raises Undecodable."""
    if len(of.tokens) < 3 or not TENANT.match(of.tokens[1]):
        raise Undecodable(f"subject tokens {of.tokens[1:]!r}: the tenant must match ^[a-z0-9_-]{{1,32}}$, then a kind, then a lane or nothing")
    if of.headers:
        opened = _opened(body, of)
        if isinstance(opened, Refused):
            return opened
        body, of = opened
    kind = of.tokens[2]
    model = KINDS.get(kind)
    if model is None:
        document = _document(body)
        return _refused(document, of, "not_supported", f"kind {kind!r} is not supported; kinds are {', '.join(KINDS)}", "kind")
    try:
        request: Request = model.model_validate_json(body)
    except ValidationError as error:
        document = _document(body)
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or None
        return _refused(document, of, "invalid_request", _why(first["type"], field, first["msg"]), field)
    return _checked(request, of)


def _checked(request: Request, of: Envelope) -> Accepted | Refused:
    """What the contract alone cannot say: the subject agrees with the body, the deadline is within a day, the id can be used."""
    document: Any = {"id": request.id, "metadata": request.metadata, "lane": request.lane, "route": request.route}
    request_id = _id(document, of)
    if request_id is None:
        return _refused(document, of, "invalid_request", "the id must match ^[A-Za-z0-9_-]{1,64}$ and not begin with 'seq-'", "id")
    if request.tenant is not None and request.tenant != of.tokens[1]:
        return _refused(document, of, "invalid_request", f"the body names tenant {request.tenant!r}, the subject {of.tokens[1]!r}", "tenant")
    token = of.tokens[3] if len(of.tokens) > 3 else None
    if len(of.tokens) > 4 or (token is not None and token not in LANES):
        return _refused(document, of, "invalid_request", f"lane {'.'.join(of.tokens[3:])!r} is not one of {', '.join(LANES)}", "lane")
    if token is not None and request.lane is not None and request.lane != token:
        return _refused(document, of, "invalid_request", f"the body asks for lane {request.lane!r}, the subject for {token!r}", "lane")
    origin = _origin(request, request_id, of)
    if origin.lane == "batch":
        return Refused(origin, ErrorV1(type="not_supported", message="lane 'batch' is not supported yet; use 'bulk'", field="lane"))
    if origin.deadline > of.stored_at + timedelta(seconds=MAX_TIMEOUT_S):
        field = "deadline" if request.deadline else "timeout_s"
        return Refused(origin, ErrorV1(type="invalid_request", message="the deadline lies more than 24 h after the request was stored", field=field))
    return _schema_checked(request, origin)


def _schema_checked(request: Request, origin: OriginV1) -> Accepted | Refused:
    if isinstance(request, ChatRequestV1):
        schemas = [(f"tools.{index}.parameters", tool.parameters) for index, tool in enumerate(request.tools)]
        if request.output is not None:
            schemas.append(("output.json_schema", request.output.json_schema))
        for field, schema in schemas:
            why = schema_fault(schema)
            if why:
                return Refused(origin, ErrorV1(type="invalid_request", message=f"{field} is not a usable JSON Schema: {why}", field=field))
    return Accepted(request, origin)


def schema_fault(schema: dict[str, Any]) -> str | None:
    """Why a JSON Schema cannot be used, or None. References out of the document are never fetched."""
    try:
        jsonschema_rs.validator_for(schema, offline=True)
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        return str(error).splitlines()[0][:300]
    return None


def _origin(request: Request, request_id: str, of: Envelope) -> OriginV1:
    lane: Lane = of.tokens[3] if len(of.tokens) > 3 else request.lane or "standard"  # type: ignore[assignment]  # checked against LANES before
    chat = request if isinstance(request, ChatRequestV1) else None
    return OriginV1(
        request_id=request_id,
        tenant=of.tokens[1],
        kind=of.tokens[2],
        route=request.route,
        lane=lane,
        metadata=request.metadata,
        request_seq=of.seq,
        request_sha256=of.sha256,
        requested_at=of.stored_at,
        deadline=deadline_of(request, lane, of.stored_at),
        replay_of=request.replay_of,
        trace_id=of.trace_id,
        max_cost_usd=request.max_cost_usd,
        output=chat.output if chat else None,
        stream=chat.stream if chat else False,
        encoding=request.encoding if isinstance(request, EmbedRequestV1) else "float",
    )


def deadline_of(request: Request, lane: str, stored_at: datetime) -> datetime:
    """The earlier of `deadline` and `timeout_s` after storage; without either the lane's default."""
    if request.timeout_s is not None:
        by_timeout = stored_at + timedelta(seconds=min(request.timeout_s, 10 * MAX_TIMEOUT_S))
        return min(by_timeout, request.deadline) if request.deadline else by_timeout
    return request.deadline or stored_at + timedelta(seconds=DEFAULT_TIMEOUT_S[lane])


def _opened(body: bytes, of: Envelope) -> tuple[bytes, Envelope] | Refused:
    """The request in a CloudEvent, whose attributes the envelope then has; anything else as it is. Raises Undecodable."""
    event: Any = None
    try:
        if cloud_events.is_structured(of.headers):
            event = _document(body)
            of = replace(of, event=cloud_events.structured(event))
            return json.dumps(cloud_events.data_of(event)).encode(), of
        attributes = cloud_events.binary(of.headers)
        if not attributes:
            return body, of
        of = replace(of, event=attributes)
        cloud_events.check_binary(attributes, of.headers)
        return body, of
    except cloud_events.BadEvent as error:
        carried = _readable(body) if event is None else event.get("data") if isinstance(event, dict) else None
        return _refused(carried, of, "invalid_request" if error.supported else "not_supported", str(error), error.field)


def _document(body: bytes) -> Any:
    """The body as plain values, for what pydantic refused. Raises Undecodable."""
    try:
        return json.loads(body, parse_int=_integer)
    except RecursionError:
        return None
    except ValueError as error:
        raise Undecodable(f"the body is not JSON: {str(error)[:200]}") from None


def _readable(body: bytes) -> Any:
    """The body as plain values, None where it is not JSON: an event that is refused for its attributes may carry anything."""
    try:
        return _document(body)
    except Undecodable:
        return None


def _integer(digits: str) -> int | float:
    """Python refuses to read very long integers, which are JSON all the same."""
    return int(digits) if len(digits) < 400 else float(digits)


def _id(document: Any, of: Envelope) -> str | None:
    return request_id_of(document, of.headers, of.event, of.seq)


def _refused(document: Any, of: Envelope, kind: str, message: str, field: str | None) -> Refused:
    """A refusal under the request's own id where that can be used, else under its sequence."""
    fields = document if isinstance(document, dict) else {}
    metadata = fields.get("metadata")
    token = of.tokens[3] if len(of.tokens) > 3 else fields.get("lane")
    origin = OriginV1(
        request_id=_id(document, of) or f"seq-{of.seq}",
        tenant=of.tokens[1],
        kind=of.tokens[2],
        route=fields.get("route") if isinstance(fields.get("route"), str) and _encodable(fields["route"]) else None,
        lane=token if token in LANES else "standard",
        metadata={key: value for key, value in metadata.items() if isinstance(value, str) and _encodable(key + value)} if isinstance(metadata, dict) else {},
        request_seq=of.seq,
        request_sha256=of.sha256,
        requested_at=of.stored_at,
        deadline=of.stored_at,
        trace_id=of.trace_id,
    )
    return Refused(origin, ErrorV1(type=kind, message=message, field=field))


def _encodable(text: str) -> bool:
    """Lone surrogates are JSON but not UTF-8; very long values are not worth echoing."""
    return len(text) <= 512 and not any("\ud800" <= character <= "\udfff" for character in text)


def _why(kind: str, field: str | None, message: str) -> str:
    if kind == "extra_forbidden":
        return f"unknown field {field!r}: it is refused, not dropped; look for a typo"
    if kind == "json_invalid":
        return "the body is JSON that cannot be read as text (lone surrogates, or nested too deep)"
    return f"{field}: {message}" if field else message
