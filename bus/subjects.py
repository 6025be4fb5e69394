"""Every subject of the bus, in the order of travel."""

from dataclasses import dataclass


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

    def cost(self, tenant: str) -> str:
        return f"{self.prefix}cost.{tenant}"

    def notice(self, severity: str, kind: str) -> str:
        return f"{self.prefix}notice.{severity}.{kind}"

    def dead(self, service: str, tenant: str | None) -> str:
        return f"{self.prefix}dead.{service}.{tenant or '_'}"

    def query(self, what: str) -> str:
        return f"{self.prefix}query.{what}"
