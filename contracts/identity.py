"""Which id a request has: one rule for whoever judges, finds or repeats it."""

import hashlib
from collections.abc import Mapping
from typing import Any

from .base import REQUEST_ID

RESERVED = "seq-"


def usable(given: object) -> bool:
    """Whether a producer may call a request so."""
    return isinstance(given, str) and REQUEST_ID.match(given) is not None and not given.startswith(RESERVED)


def request_id_of(document: Any, headers: Mapping[str, str], event: Mapping[str, str], seq: int) -> str | None:
    """Body, Nats-Msg-Id, CloudEvents attributes, sequence, in this order; None when the one that was given cannot be used."""
    given = document.get("id") if isinstance(document, dict) else None
    if given is None:
        given = headers.get("Nats-Msg-Id")
    if given is None and event.get("id"):
        source_and_id = f"{event.get('source', '')}\n{event['id']}"
        return "ce-" + hashlib.sha256(source_and_id.encode(errors="surrogatepass")).hexdigest()[:32]
    if given is None:
        return f"{RESERVED}{seq}"
    return given if usable(given) else None
