"""Lanes that can wait give way: their share of a process shrinks while its event loop is late, and grows again when it is not."""

import asyncio
from collections.abc import Callable

LOOK_EVERY_S = 0.02
LATE_S = 0.002
"""A loop that wakes this much later than asked is busy enough to delay an interactive message."""
WINDOW_S = 15.0
"""The worst lateness is told for 15 to 30 seconds: at least one scrape sees it."""


class Lateness:
    """How late the loop was at its worst, in the window that ended last and in the one that is open."""

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_s, self._ends = window_s, 0.0
        self._closed = self._open = 0.0

    def add(self, now: float, late_s: float) -> None:
        if now >= self._ends:
            missed = now >= self._ends + self._window_s
            self._closed, self._open, self._ends = 0.0 if missed else self._open, 0.0, now + self._window_s
        if late_s > self._open:
            self._open = late_s

    @property
    def worst_s(self) -> float:
        return max(self._closed, self._open)


class Patience:
    """How many messages a patient worker may have at once: halved when the loop is late, one more when it is not."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.allowed = most

    def adapt(self, late_s: float) -> None:
        self.allowed = max(1, self.allowed // 2) if late_s > LATE_S else min(self.most, self.allowed + 1)


async def measure(patient: Callable[[], list[Patience]], lateness: Lateness) -> None:
    """Tell all patient workers of this process how late the loop is, and keep the worst, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        asked = loop.time() + LOOK_EVERY_S
        await asyncio.sleep(LOOK_EVERY_S)
        now = loop.time()
        late_s = now - asked
        lateness.add(now, late_s)
        for patience in patient():
            patience.adapt(late_s)
