"""What a check of a provider's free endpoint says of its health. Pure."""

from dataclasses import dataclass
from typing import Literal

from contracts.health import HealthState

from .protocol import Looked

ENDS_AT = 2
"""So many failed checks in a row make a provider unhealthy."""
REFUSED = (401, 407)
DOUBTFUL = (403, 404, 405, 429, 501)
"""The server answers, but not this question: a key may be good for calls alone, a compatible server may list nothing. Calls may well succeed."""


@dataclass(frozen=True)
class Finding:
    """One check: `ok`, `doubtful` (it answers, but not as it should), `failed`, or `refused` (the credential is)."""

    kind: Literal["ok", "doubtful", "failed", "refused"]
    why: str | None = None
    failure: str | None = None


@dataclass(frozen=True)
class Standing:
    """How a provider stands. `failures`: failed checks in a row."""

    state: HealthState
    failures: int = 0
    why: str | None = None
    failure: str | None = None


def finding(looked: Looked) -> Finding:
    """What one look means."""
    failure = looked.failure
    if failure is None:
        return Finding("ok")
    said = failure.message if looked.status is None else f"HTTP {looked.status}: {failure.message}"
    if looked.status in DOUBTFUL:
        return Finding("doubtful", f"it answers its health check with {said}; calls may succeed all the same", failure.type)
    if looked.status is not None and (failure.type == "auth" or looked.status in REFUSED):
        return Finding("refused", f"the credential is refused: {said}", "auth")
    return Finding("failed", said, failure.type)


def after(before: Standing | None, found: Finding) -> Standing:
    """One success makes healthy; one failure degraded; two in a row, or a refused credential, unhealthy."""
    if found.kind == "ok":
        return Standing("healthy")
    if found.kind == "doubtful":
        return Standing("degraded", 0, found.why, found.failure)
    failures = (before.failures if before is not None else 0) + 1
    ended = found.kind == "refused" or failures >= ENDS_AT
    return Standing("unhealthy" if ended else "degraded", failures, found.why, found.failure)
