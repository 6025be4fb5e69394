"""Documents and results as the index sees them: who they belong to, what they say, what they can be filtered by."""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from html.parser import HTMLParser
from typing import Any

from pydantic import Field, ValidationError

from bus.errors import Reject
from contracts.base import DOCUMENT_ID, TENANT, Open
from contracts.content import ChatMessageV1, text_of
from contracts.document import DocumentV1
from contracts.search import ItemKind
from storage.texts import NO_NUL, utc_text

TEXTUAL = ("text/", "application/json", "application/xml", "application/yaml", "application/x-yaml")


@dataclass(frozen=True)
class Entry:
    """One version of a document or result. Times are UTC text of one width. `text` is None where it is deleted."""

    tenant: str
    kind: ItemKind
    collection: str
    id: str
    stored_at: str
    sha256: str
    at: str
    text: str | None
    expires_at: str | None = None
    uri: str | None = None
    title: str | None = None
    metadata: dict[str, str] | None = None
    provider: str | None = None
    model: str | None = None

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.tenant, self.kind, self.collection, self.id


class Finished(Open):
    """What the indexer reads of a result; vectors stay unread. Fields as in ResultV1."""

    request_id: str
    tenant: str
    status: str
    metadata: dict[str, str] = Field(default_factory=dict)
    message: ChatMessageV1 | None = None
    parsed: Any = None
    provider: str | None = None
    model: str | None = None
    finished_at: datetime


def entry_of_document(tokens: list[str], body: bytes, stored_at: datetime, tenants: Collection[str]) -> Entry:
    """`tokens`: of the subject. Raises Reject where it cannot be indexed, by a constant reason."""
    document = _document(body)
    _, tenant, collection, document_id = tokens
    named = {"tenant": (document.tenant, tenant), "collection": (document.collection, collection), "id": (document.id, document_id)}
    for field, (said, token) in named.items():
        if said is not None and said != token:
            raise Reject("subject_disagrees", f"the body names {field} {said!r}, the subject {token!r}")
    if not TENANT.match(tenant) or not DOCUMENT_ID.match(collection):
        raise Reject("bad_subject", f"{tenant!r} and {collection!r} are not a tenant (^[a-z0-9_-]{{1,32}}$) and a collection (^[A-Za-z0-9_-]{{1,64}}$)")
    if tenant not in tenants:
        raise Reject("unknown_tenant", f"tenant {tenant!r} is not configured; add it under 'tenants'")
    if not document.mime_type.startswith(TEXTUAL):
        raise Reject("not_supported", f"mime_type {document.mime_type!r} cannot be indexed: send text, as one of {', '.join(TEXTUAL)}")
    text = document.content
    if text is not None:
        text = plain(document.mime_type, text)
        text = f"{document.title}\n\n{text}" if document.title else text
    return Entry(
        tenant=tenant,
        kind="document",
        collection=collection,
        id=document_id,
        stored_at=utc_text(stored_at),
        sha256=hashlib.sha256(body).hexdigest(),
        at=utc_text(stored_at),
        text=None if text is None else text.translate(NO_NUL),
        expires_at=None if document.expires_at is None else utc_text(document.expires_at),
        uri=_clean(document.uri),
        title=_clean(document.title),
        metadata={key.translate(NO_NUL): value.translate(NO_NUL) for key, value in document.metadata.items()},
    )


def entry_of_result(tokens: list[str], body: bytes, stored_at: datetime, keep_days: float) -> Entry | None:
    """None where there is nothing to find. Raises Reject."""
    try:
        result = Finished.model_validate_json(body)
    except ValidationError as error:
        raise Reject("undecodable", f"not a result: {error.error_count()} errors, the first at {_place(error)}") from error
    if tokens[1:3] != [result.tenant, result.request_id]:
        raise Reject("subject_disagrees", f"the body is of {result.tenant!r} and {result.request_id!r}, the subject of {tokens[1:3]!r}")
    text = said(result)
    if result.status != "succeeded" or not text.strip():
        return None
    return Entry(
        tenant=result.tenant,
        kind="result",
        collection="",
        id=result.request_id,
        stored_at=utc_text(stored_at),
        sha256=hashlib.sha256(body).hexdigest(),
        at=utc_text(result.finished_at),
        text=text.translate(NO_NUL),
        expires_at=utc_text(result.finished_at + timedelta(days=keep_days)),
        metadata={key.translate(NO_NUL): value.translate(NO_NUL) for key, value in result.metadata.items()},
        provider=result.provider,
        model=_clean(result.model),
    )


def said(result: Finished) -> str:
    """The text of the message, and the parsed answer where it says anything else."""
    text = text_of(result.message.all_parts()) if result.message is not None else ""
    if result.parsed is None:
        return text
    try:
        if json.loads(text) == result.parsed:
            return text
    except ValueError:
        pass
    return "\n\n".join(filter(None, [text, json.dumps(result.parsed, ensure_ascii=False)]))


def plain(mime_type: str, text: str) -> str:
    """HTML without its tags; anything else as it is."""
    if mime_type != "text/html":
        return text
    reader = _Text()
    reader.feed(text)
    reader.close()
    return "".join(reader.found)


class _Text(HTMLParser):
    """Keeps what a reader of the page would see; each tag is a break."""

    UNSEEN = ("script", "style")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._unseen += tag in self.UNSEEN
        self.found.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._unseen = max(0, self._unseen - (tag in self.UNSEEN))
        self.found.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.found.append(data)


def _document(body: bytes) -> DocumentV1:
    """What is wrong is named by its place; the values, which may be confidential, are not."""
    try:
        return DocumentV1.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        why = "unknown field: it is refused, not dropped" if first["type"] == "extra_forbidden" else first["msg"]
        raise Reject("invalid_document", f"{_place(error) or 'the body'}: {why}") from error


def _place(error: ValidationError) -> str:
    return ".".join(str(part) for part in error.errors(include_input=False)[0]["loc"])[:128]


def _clean(text: str | None) -> str | None:
    return text and text.translate(NO_NUL)
