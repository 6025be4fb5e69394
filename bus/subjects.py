"""Every subject of the bus, in the order of travel."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

TOKENS: Mapping[str, tuple[str, ...]] = {
    "request": ("tenant", "kind", "lane"),
    "cancel": ("tenant", "request_id"),
    "call": ("provider", "lane", "tenant", "request_id", "n"),
    "begun": ("tenant", "request_id", "n"),
    "attempt": ("outcome", "lane", "tenant", "request_id", "n"),
    "verdict": ("lane", "tenant", "request_id", "n"),
    "delta": ("tenant", "request_id"),
    "settle": ("tenant", "request_id"),
    "result": ("tenant", "request_id"),
    "cost": ("tenant",),
    "document": ("tenant", "collection", "document_id"),
    "notice": ("severity", "kind"),
    "dead": ("service", "tenant"),
}
"""What the tokens after the first say."""
KEPT_FOR_THEIR_WRITER = frozenset({"begun", "lease"})
"""What nobody consumes: no hop of a request."""


@lru_cache(maxsize=256)
def _template(root: str, kind: str | None, count: int) -> str:
    """`count`: of the tokens behind the kind."""
    words = TOKENS[kind][:count] if kind is not None else ()
    return ".".join([root, "v1", kind or "{kind}", *(f"{{{word}}}" for word in words), *([">"] if count > len(words) else [])])


@dataclass(frozen=True)
class Subjects:
    """Subjects under one root; tokens are checked by the contracts before they come here."""

    root: str = "llm"

    @property
    def prefix(self) -> str:
        return f"{self.root}.v1."

    def tokens(self, subject: str) -> list[str]:
        """A subject's tokens without root and version: `['request', 'acme', 'chat', 'bulk']`."""
        return subject[len(self.prefix) :].split(".")

    def kind(self, subject: str) -> str:
        """What a subject carries, for names of few values: `request`, `call` …; others by their first token."""
        return (self.tokens(subject) if subject.startswith(self.prefix) else subject.split("."))[0]

    def travels(self, subject: str) -> bool:
        """Whether a message goes on to somebody: requests, calls, attempts …, not a journal's entries nor what is not ours."""
        return subject.startswith(self.prefix) and self.kind(subject) not in KEPT_FOR_THEIR_WRITER

    def said(self, subject: str) -> dict[str, str]:
        """The tokens of a subject by what they say."""
        kind, *tokens = self.tokens(subject)
        return dict(zip(TOKENS.get(kind, ()), tokens, strict=False))

    def template(self, subject: str) -> str:
        """A subject's pattern, one of few: `llm.v1.call.{provider}.{lane}.{tenant}.{request_id}.{n}`."""
        kind, *tokens = self.tokens(subject)
        return _template(self.root, kind if kind in TOKENS else None, len(tokens))

    def request(self, tenant: str, kind: str, lane: str | None = None) -> str:
        return f"{self.prefix}request.{tenant}.{kind}" + (f".{lane}" if lane else "")

    def cancel(self, tenant: str, request_id: str) -> str:
        return f"{self.prefix}cancel.{tenant}.{request_id}"

    def call(self, provider: str, lane: str, tenant: str, request_id: str, n: int | str) -> str:
        return f"{self.prefix}call.{provider}.{lane}.{tenant}.{request_id}.{n}"

    def any_call(self, tenant: str, request_id: str, n: int | str = "*") -> str:
        return f"{self.prefix}call.*.*.{tenant}.{request_id}.{n}"

    def begun(self, tenant: str, request_id: str, n: int | str) -> str:
        return f"{self.prefix}begun.{tenant}.{request_id}.{n}"

    def lease(self, what: str) -> str:
        return f"{self.prefix}lease.{what}"

    def attempt(self, outcome: str, lane: str, tenant: str, request_id: str, n: int | str) -> str:
        return f"{self.prefix}attempt.{outcome}.{lane}.{tenant}.{request_id}.{n}"

    def any_attempt(self, tenant: str, request_id: str, n: int | str = "*") -> str:
        return f"{self.prefix}attempt.*.*.{tenant}.{request_id}.{n}"

    def verdict(self, lane: str, tenant: str, request_id: str, n: int | str) -> str:
        return f"{self.prefix}verdict.{lane}.{tenant}.{request_id}.{n}"

    def delta(self, tenant: str, request_id: str) -> str:
        return f"{self.prefix}delta.{tenant}.{request_id}"

    def settle(self, tenant: str, request_id: str) -> str:
        return f"{self.prefix}settle.{tenant}.{request_id}"

    def result(self, tenant: str, request_id: str) -> str:
        return f"{self.prefix}result.{tenant}.{request_id}"

    def document(self, tenant: str, collection: str, document_id: str) -> str:
        return f"{self.prefix}document.{tenant}.{collection}.{document_id}"

    def cost(self, tenant: str) -> str:
        return f"{self.prefix}cost.{tenant}"

    def notice(self, severity: str, kind: str) -> str:
        return f"{self.prefix}notice.{severity}.{kind}"

    def dead(self, service: str, tenant: str | None) -> str:
        return f"{self.prefix}dead.{service}.{tenant or '_'}"

    def query(self, what: str) -> str:
        return f"{self.prefix}query.{what}"
