"""A lease: one process at a time does a piece of work, as long as it renews a message that expires."""

import time

from bus.connection import Bus
from bus.errors import Exists

LEASE_S = 4
MARGIN_S = 0.5
"""A holder stops this long before the server forgets its lease."""


class Lease:
    """Claimed and renewed by expected sequence. Errors: Unavailable."""

    def __init__(self, bus: Bus, what: str, owner: str) -> None:
        self._bus, self._subject, self._owner = bus, bus.subjects.lease(what), owner.encode()
        self._seq = 0
        self._until = Clocks(0.0, 0.0)

    @property
    def left_s(self) -> float:
        """For how long this process may go on without asking again; 0 or less: it may not."""
        now = Clocks.read()
        return min(self._until.monotonic - now.monotonic, self._until.wall - now.wall)

    async def hold(self) -> bool:
        """Claim the lease, or renew it once half its time has passed; False: another process holds it."""
        if self.left_s > LEASE_S / 2:
            return True
        asked = Clocks.read()
        headers = {"Nats-TTL": f"{LEASE_S}s", "Nats-Expected-Last-Subject-Sequence": str(self._seq)}
        try:
            self._seq = (await self._bus.publish(self._subject, self._owner, headers)).seq
        except Exists:
            self._seq, self._until = 0, Clocks(0.0, 0.0)
            return False
        self._until = asked.after(LEASE_S - MARGIN_S)
        return True

    async def release(self) -> None:
        """Let another process claim it at once."""
        if self._seq:
            seq, self._seq, self._until = self._seq, 0, Clocks(0.0, 0.0)
            await self._bus.delete("JOURNAL", seq)


class Clocks:
    """Two clocks, since one stands still while a machine sleeps and the other may be set."""

    def __init__(self, monotonic: float, wall: float) -> None:
        self.monotonic, self.wall = monotonic, wall

    @classmethod
    def read(cls) -> "Clocks":
        return cls(time.monotonic(), time.time())

    def after(self, seconds: float) -> "Clocks":
        return Clocks(self.monotonic + seconds, self.wall + seconds)
