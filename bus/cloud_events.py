"""CloudEvents 1.0 at the edge: what an event, in binary or structured mode, says of the message that it carries. Pure.

The rules are those of the CloudEvents specification 1.0.2, its JSON format and its NATS protocol binding.
"""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

PREFIX = "ce-"
MEDIA_TYPE = "application/cloudevents"
REQUIRED = ("id", "source", "type")
TRACE_CONTEXT = ("traceparent", "tracestate")
JSON_MEDIA_TYPE = re.compile(r"^\s*([^/;\s]+/json|[^/;\s]+/[^/;\s]+\+json)\s*(;.*)?\Z", re.IGNORECASE | re.DOTALL)
QUOTED = re.compile(r'^"(.*)"\Z', re.DOTALL)


class BadEvent(ValueError):
    """An event that cannot be read; `field` names the attribute."""

    def __init__(self, field: str | None, message: str, *, supported: bool = True) -> None:
        super().__init__(message)
        self.field, self.supported = field, supported


def is_structured(headers: Mapping[str, str]) -> bool:
    """Whether the body is the whole event. Raises BadEvent for event formats other than JSON, and for batches."""
    media_type = _header(headers, "content-type").partition(";")[0].strip().lower()
    if not media_type.startswith(MEDIA_TYPE):
        return False
    if media_type != f"{MEDIA_TYPE}+json":
        raise BadEvent("content-type", f"{media_type!r} is not supported; send one event as '{MEDIA_TYPE}+json'", supported=False)
    return True


def binary(headers: Mapping[str, str]) -> dict[str, str]:
    """The attributes that stand in `ce-` headers; none where the message is no event. Raises BadEvent."""
    if not any(name[:3].lower() == PREFIX for name in headers):
        return {}
    found = {name.lower().removeprefix(PREFIX): value for name, value in headers.items() if name.lower().startswith(PREFIX)}
    return {name: _decoded(PREFIX + name, value) for name, value in found.items()}


def structured(event: Any) -> dict[str, str]:
    """The attributes of an event in the JSON format that are text; we read no others."""
    fields = event if isinstance(event, dict) else {}
    return {name: value for name, value in fields.items() if isinstance(value, str) and name not in ("data", "data_base64")}


def check_binary(attributes: Mapping[str, str], headers: Mapping[str, str]) -> None:
    """Raises BadEvent. Without a `ce-specversion` a message is no event, and has nothing to keep to."""
    if "specversion" in attributes:
        _check(attributes, PREFIX)
        _check_media_type(attributes.get("datacontenttype") or _header(headers, "content-type"), PREFIX)


def data_of(event: Any) -> Any:
    """What a structured event carries, as plain values. Raises BadEvent."""
    if not isinstance(event, dict):
        raise BadEvent(None, "a structured CloudEvent is a JSON object with 'specversion', 'id', 'source', 'type' and 'data'")
    attributes = structured(event)
    _check(attributes, "")
    _check_media_type(attributes.get("datacontenttype", ""), "")
    if event.get("data_base64") is None:
        if "data" not in event:
            raise BadEvent("data", "the CloudEvent carries no request: give it as 'data'")
        return event["data"]
    if "data" in event:
        raise BadEvent("data_base64", "give either 'data' or 'data_base64', not both")
    return _from_base64(event["data_base64"])


def trace_headers(headers: Mapping[str, str], body: bytes) -> Mapping[str, str]:
    """The headers, with the trace context of the event that the message is where it has none itself."""
    if not headers or "traceparent" in headers:
        return headers
    try:
        attributes = structured(json.loads(body)) if is_structured(headers) else binary(headers)
    except (ValueError, RecursionError):
        return headers
    return {**headers, **{name: attributes[name] for name in TRACE_CONTEXT if name in attributes}}


def _check(attributes: Mapping[str, str], prefix: str) -> None:
    version = attributes.get("specversion")
    if version != "1.0":
        raise BadEvent(f"{prefix}specversion", f"CloudEvents version {version and version[:20]!r} is not supported; send '1.0'")
    for name in REQUIRED:
        if not attributes.get(name):
            raise BadEvent(prefix + name, f"a CloudEvent needs {prefix + name!r}, a text that is not empty")


def _check_media_type(media_type: str, prefix: str) -> None:
    if media_type and not JSON_MEDIA_TYPE.match(media_type):
        raise BadEvent(prefix + "datacontenttype", f"the data is {media_type[:100]!r}; a request is 'application/json'")


def _decoded(name: str, value: str) -> str:
    """One header's value, unquoted and percent-decoded once, as the NATS binding asks."""
    quoted = QUOTED.match(value)
    try:
        return unquote(re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else value, errors="strict")
    except UnicodeDecodeError:
        raise BadEvent(name, f"{name!r} is not percent-encoded UTF-8") from None


def _from_base64(text: Any) -> Any:
    try:
        raw = base64.b64decode(text, validate=True)
    except (TypeError, ValueError):
        raise BadEvent("data_base64", "'data_base64' is not base64") from None
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise BadEvent("data_base64", "'data_base64' does not hold JSON") from None


def _header(headers: Mapping[str, str], wanted: str) -> str:
    """A header by its lower-case name: CloudEvents' header names are case-insensitive, NATS's are not."""
    return next((value for name, value in headers.items() if name.lower() == wanted), "")
