"""Many things done, some at a time, under a progress bar on stderr."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from bus.errors import Full, Unavailable
from cli.show import notes

Item = TypeVar("Item")
Result = TypeVar("Result")

OUTAGE_S = 60.0
LONGEST_DELAY_S = 5.0
TELL_EVERY_S = 10.0


class Bar:
    """How far a command is. Its total may become known late."""

    def __init__(self, progress: Progress, line: TaskID) -> None:
        self._progress, self._line = progress, line

    def expect(self, total: int) -> None:
        self._progress.update(self._line, total=total)

    def advance(self, by: int = 1) -> None:
        self._progress.advance(self._line, by)


@contextmanager
def bar(what: str, total: int | None = None, done: int = 0) -> Iterator[Bar]:
    with Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=notes()) as progress:
        yield Bar(progress, progress.add_task(what, total=total, completed=done))


async def through_outages(work: Callable[[], Awaitable[Result]], outage_s: float = OUTAGE_S) -> Result:
    """Work that may be done twice, tried again while the bus is away, for `outage_s`. Raises Unavailable then."""
    loop = asyncio.get_running_loop()
    end, delay_s = loop.time() + outage_s, 0.2
    while True:
        try:
            return await work()
        except Unavailable as error:
            if loop.time() > end:
                raise Unavailable(f"{error}; what was sent is not lost: run the same command again, it goes on from there") from error
        await asyncio.sleep(delay_s)
        delay_s = min(delay_s * 2, LONGEST_DELAY_S)


class Patient:
    """Work that may be done twice, tried again with growing delay: through outages, and while the bus is full as long as that lasts, which is told."""

    def __init__(self) -> None:
        self._tell_at = 0.0

    async def do(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Raises Unavailable when the bus is away, and not just full, for `OUTAGE_S`."""
        loop = asyncio.get_running_loop()
        end, delay_s = loop.time() + OUTAGE_S, 0.2
        while True:
            try:
                return await work()
            except Full as error:
                self._tell(f"{error}; trying again until there is room", loop.time())
                end = loop.time() + OUTAGE_S
            except Unavailable:
                if loop.time() > end:
                    raise
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, LONGEST_DELAY_S)

    def _tell(self, text: str, now: float) -> None:
        if now >= self._tell_at:
            self._tell_at = now + TELL_EVERY_S
            notes().print(text, markup=False)


async def each(items: Iterable[Item], work: Callable[[Item], Awaitable[None]], concurrency: int) -> None:
    """Begin in order, `concurrency` at a time. The first failure ends the others and is raised as it is."""
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(worker())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
