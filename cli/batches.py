"""Many things done, some at a time, under a progress bar on stderr."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from cli.show import notes

Item = TypeVar("Item")


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
