"""The messages of an AsyncAPI document: payload, headers and the committed example of each."""

import inspect
import json
import re
from typing import Any

from bus.asyncapi.schemas import schema_reference
from contracts.export import EXAMPLES, MESSAGES

Node = dict[str, Any]
TEXT: Node = {"type": "string"}

TRACE: Node = {
    "traceparent": {"type": "string", "description": "W3C trace context: each hop's span is the child of the one before."},
    "tracestate": TEXT,
}
EVENT: Node = {
    "ce-specversion": {"const": "1.0"},
    "ce-id": {"type": "string", "minLength": 1},
    "ce-source": {"type": "string", "minLength": 1},
    "ce-type": {"type": "string", "minLength": 1},
    "ce-datacontenttype": {"type": "string", "description": "application/json, or a media type that ends in +json."},
}
REQUEST_HEADERS: Node = {
    **TRACE,
    "Nats-Msg-Id": {
        "type": "string",
        "description": "The id where the body has none. A repetition within 100 ms is dropped by the server: prefer the body's `id`.",
    },
    **EVENT,
    "ce-traceparent": {"type": "string", "description": "Read where there is no `traceparent`."},
}
RESULT_HEADERS: Node = {
    **TRACE,
    **EVENT,
    "ce-type": {"const": "headrace.result.v1"},
    "ce-subject": {"type": "string", "description": "The request's id."},
    "ce-time": {"type": "string", "format": "date-time"},
    "Content-Type": {"const": "application/json"},
    "Nats-Sequence": {"type": "string", "description": "The sequence in RESULTS, set by the server."},
}
HEADERS: dict[str, Node] = {
    "request.chat": REQUEST_HEADERS,
    "request.embed": REQUEST_HEADERS,
    "request.cloud_event": {"Content-Type": {"type": "string", "description": "application/cloudevents+json"}},
    "result": RESULT_HEADERS,
    "call": {**TRACE, "Headrace-Deadline": {"type": "string", "format": "date-time"}},
    "call_begun": {**TRACE, "Nats-TTL": {"type": "string"}},
    "lease": {"Nats-TTL": {"type": "string"}},
    "cost": {**TRACE, "Nats-Msg-Id": {"type": "string", "description": "cost:<call_id>:<outcome>"}},
}
"""Headers by message; all others carry the trace alone."""

CLOUD_EVENT: Node = {
    "type": "object",
    "description": (
        "A request as a structured CloudEvent. Without an `id` in its data the request's id is `ce-` and the first 32 hexadecimal digits of the SHA-256 of "
        "the event's source, a line feed and its id, in UTF-8."
    ),
    "required": ["specversion", "id", "source", "type"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "minLength": 1},
        "source": {"type": "string", "minLength": 1, "format": "uri-reference"},
        "type": {"type": "string", "minLength": 1},
        "datacontenttype": {"type": "string", "description": "application/json, or a media type that ends in +json."},
        "traceparent": {"type": "string", "description": "Read where the message has no such header."},
        "data": {"description": "The request.", "anyOf": [schema_reference("request.chat"), schema_reference("request.embed")]},
        "data_base64": {"type": "string", "contentEncoding": "base64", "description": "The request, encoded; instead of `data`."},
    },
}
OTHERS: dict[str, tuple[str, Node]] = {
    "request.cloud_event": ("A request in a structured CloudEvent.", CLOUD_EVENT),
    "lease": ("The process that has it, by a name of its own making.", TEXT),
    "publish_ack": (
        "Stored under `seq`, or refused. `duplicate` means: not stored, since a message with this Nats-Msg-Id came just before.",
        {
            "type": "object",
            "properties": {
                "stream": TEXT,
                "seq": {"type": "integer"},
                "duplicate": {"type": "boolean"},
                "error": {"type": "object", "properties": {"code": {"type": "integer"}, "err_code": {"type": "integer"}, "description": TEXT}},
            },
        },
    ),
    "empty": ("No body.", {"type": "string", "maxLength": 0}),
    "not_found": ("No body; the header `Status` is 404.", {"type": "string", "maxLength": 0}),
    "question": (
        "What to sum up, and by what; or which providers.",
        {
            "type": "object",
            "properties": {
                "by": {"type": "array", "items": TEXT},
                "since": {"type": "string", "format": "date-time"},
                "until": {"type": "string", "format": "date-time"},
                "tenant": TEXT,
                "providers": {"type": "array", "items": TEXT},
            },
        },
    ),
    "answer": (
        "What was asked, or `error`.",
        {"type": "object", "properties": {"rows": {"type": "array"}, "total_usd": {"type": ["string", "null"]}, "error": TEXT}},
    ),
}
"""Messages that are no contract of ours, or only carry one."""
CONTENT_TYPES = {"request.cloud_event": "application/cloudevents+json", "lease": "text/plain"}


def key(message: str) -> str:
    """`request.chat` is `requestChat`."""
    head, *rest = re.split(r"[._]", message)
    return head + "".join(word.capitalize() for word in rest)


def message_components() -> dict[str, Node]:
    """Every message by its key, in the order of travel."""
    contracts = {key(name): _contract(name) for name in MESSAGES}
    return contracts | {key(name): _other(name, about, payload) for name, (about, payload) in OTHERS.items()}


def _contract(name: str) -> Node:
    example = json.loads((EXAMPLES / f"{name}.v1.json").read_text(encoding="utf-8"))
    return {
        "name": f"{name}.v1",
        "title": MESSAGES[name].__name__,
        "summary": inspect.cleandoc(MESSAGES[name].__doc__ or "").splitlines()[0],
        "contentType": "application/json",
        "headers": {"type": "object", "properties": HEADERS.get(name, TRACE)},
        "payload": schema_reference(name),
        "examples": [{"name": "committed", "payload": example}],
    }


def _other(name: str, about: str, payload: Node) -> Node:
    head = {"name": name, "title": key(name), "summary": about, "contentType": CONTENT_TYPES.get(name, "application/json")}
    headers = {"headers": {"type": "object", "properties": HEADERS[name]}} if name in HEADERS else {}
    return {**head, **headers, "payload": payload}
