"""Sums of the last minute by second, in bounded memory whatever the traffic. Pure: the time comes in."""

from collections import defaultdict, deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Generic, TypeVar

KEPT_S = 60
SAMPLES_A_SECOND = 256

Key = TypeVar("Key", bound=Hashable)


@dataclass
class _Second(Generic[Key]):
    at: int
    sums: dict[Key, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    measured: dict[Key, int] = field(default_factory=lambda: defaultdict(int))
    samples: dict[Key, list[float]] = field(default_factory=lambda: defaultdict(list))


class Minute(Generic[Key]):
    """What was added within the last 60 s, by key. Of what is measured each second keeps a fair sample."""

    def __init__(self, began_s: float) -> None:
        self._began_s = began_s
        self._seconds: deque[_Second[Key]] = deque()
        self._random = Random(0)

    def add(self, now_s: float, key: Key, amount: Decimal = Decimal(1), measured: float | None = None) -> None:
        second = self._second(int(now_s))
        second.sums[key] += amount
        if measured is None:
            return
        second.measured[key] += 1
        samples = second.samples[key]
        if len(samples) < SAMPLES_A_SECOND:
            samples.append(measured)
        elif (place := self._random.randrange(second.measured[key])) < SAMPLES_A_SECOND:
            samples[place] = measured

    def sums(self, now_s: float, within_s: float = KEPT_S) -> dict[Key, Decimal]:
        found: dict[Key, Decimal] = defaultdict(Decimal)
        for second in self._since(now_s, within_s):
            for key, amount in second.sums.items():
                found[key] += amount
        return dict(found)

    def rates(self, now_s: float, within_s: float) -> dict[Key, float]:
        """Amounts a second over `within_s`, or over the time since the beginning while that is shorter."""
        over_s = max(now_s - max(int(now_s - within_s) + 1, self._began_s), 1.0)
        return {key: float(amount) / over_s for key, amount in self.sums(now_s, within_s).items()}

    def samples(self, now_s: float, key: Key) -> list[float]:
        """In order of size."""
        return sorted(value for second in self._since(now_s, KEPT_S) for value in second.samples.get(key, ()))

    def _second(self, at: int) -> _Second[Key]:
        if not self._seconds or self._seconds[-1].at < at:
            self._seconds.append(_Second(at))
            while self._seconds[0].at <= at - KEPT_S:
                self._seconds.popleft()
        return self._seconds[-1]

    def _since(self, now_s: float, within_s: float) -> Iterable[_Second[Key]]:
        """Whole seconds only: the oldest one, of which a part is too old, is left out."""
        return (second for second in self._seconds if second.at > now_s - within_s)


def quantile(ordered: list[float], part: float) -> float | None:
    """The smallest value that at least `part` of them do not exceed; None of none."""
    return ordered[max(0, -int(-part * len(ordered) // 1) - 1)] if ordered else None
