"""What a check of a provider's free endpoint says of its health. Pure."""

from dataclasses import dataclass
from typing import Literal

from contracts.health import HealthState

from .protocol import Looked

ENDS_AT = 2
"""So many failed checks in a row make a provider unhealthy."""
JITTER = 0.2
SOONER = 4
"""The first failed check is repeated after this part of the interval, so that two in a row are known within two intervals."""
SHORTEST_CHECK_S, LONGEST_CHECK_S = 2.0, 10.0
"""Between these lies how long a check may take: a part of the interval, too."""
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


def pause_s(stands: Standing, interval_s: float, jitter: float) -> float:
    """From the beginning of one check to that of the next. `jitter` lies in [-1, 1]."""
    first_failure = stands.state == "degraded" and stands.failures > 0
    return (interval_s / SOONER if first_failure else interval_s) * (1 + JITTER * jitter)


def limit_s(interval_s: float) -> float:
    """How long one check may take."""
    return min(LONGEST_CHECK_S, max(SHORTEST_CHECK_S, interval_s / SOONER))
