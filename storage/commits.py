"""Group commit: handlers join the open batch, which is written as soon as the batch before it is."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from sqlalchemy.exc import OperationalError, SQLAlchemyError

MAX_BATCH = 1000
GATHER_S, FULL_BATCH = 0.01, 100
"""A small batch waits so long for others: a transaction costs more than its rows."""
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class GroupCommit(Generic[Item, Outcome]):
    """Writes what many handlers bring in few transactions."""

    def __init__(self, write: Callable[[Sequence[Item]], Awaitable[Sequence[Outcome]]], max_batch: int = MAX_BATCH) -> None:
        """`write`: all or nothing; one outcome for each item."""
        self._commit, self._max_batch = write, max_batch
        self._open: list[tuple[Item, asyncio.Future[Outcome]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def add(self, item: Item) -> Outcome:
        """Returns when the item is committed, with its outcome. Raises what the database raised for this item."""
        written: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._open.append((item, written))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        return await written

    async def close(self) -> None:
        """Write what is open."""
        if self._writer is not None:
            await self._writer

    async def _write(self) -> None:
        while self._open:
            if len(self._open) < FULL_BATCH:
                await asyncio.sleep(GATHER_S)
            batch, self._open = self._open[: self._max_batch], self._open[self._max_batch :]
            try:
                outcomes = await self._commit([item for item, _ in batch])
            except (SQLAlchemyError, OverflowError) as error:
                await self._write_singly(batch, error)
            else:
                for (_, written), outcome in zip(batch, outcomes, strict=True):
                    if not written.done():  # its handler was cancelled; the item is written all the same
                        written.set_result(outcome)
            finally:  # nobody may wait for ever, whatever went wrong
                for _, written in batch:
                    _fail(written, RuntimeError("the batch was not written"))

    async def _write_singly(self, batch: list[tuple[Item, asyncio.Future[Outcome]]], error: Exception) -> None:
        """One item that the database refuses must not hold up the others; a database that is away refuses all alike."""
        if len(batch) == 1 or isinstance(error, OperationalError):
            for _, written in batch:
                _fail(written, error)
            return
        for item, written in batch:
            try:
                [outcome] = await self._commit([item])
            except (SQLAlchemyError, OverflowError) as own:
                _fail(written, own)
            else:
                if not written.done():
                    written.set_result(outcome)


def _fail(written: asyncio.Future[Outcome], error: Exception) -> None:
    if not written.done():
        written.set_exception(error)
