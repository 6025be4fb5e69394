"""Lanes that can wait give way: their share of a process shrinks while its event loop is late, and grows again when it is not."""

import asyncio
from collections.abc import Callable

LOOK_EVERY_S = 0.02
LATE_S = 0.002
"""A loop that wakes this much later than asked is busy enough to delay an interactive message."""


class Patience:
    """How many messages a patient worker may have at once: halved when the loop is late, one more when it is not."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.allowed = most

    def adapt(self, late_s: float) -> None:
        self.allowed = max(1, self.allowed // 2) if late_s > LATE_S else min(self.most, self.allowed + 1)


async def measure(patient: Callable[[], list[Patience]]) -> None:
    """Tell all patient workers of this process how late the loop is, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        asked = loop.time() + LOOK_EVERY_S
        await asyncio.sleep(LOOK_EVERY_S)
        late_s = loop.time() - asked
        for patience in patient():
            patience.adapt(late_s)
