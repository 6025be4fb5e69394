"""Group commit: handlers join the open batch, which is written as soon as the batch before it is."""

import asyncio

from sqlalchemy.exc import OperationalError, SQLAlchemyError

from services.meter.entries import Row
from services.meter.ledger import Ledger

MAX_BATCH = 1000
GATHER_S, FULL_BATCH = 0.01, 100
"""A small batch waits so long for others: nobody waits for a cost, and a transaction costs more than its rows."""


class GroupCommit:
    """Writes rows from many handlers in few transactions, in a thread."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._open: list[tuple[Row, asyncio.Future[bool]]] = []
        self._doubted: set[str] = set()
        self._writer: asyncio.Task[None] | None = None

    async def add(self, row: Row, *, doubted: bool = True) -> bool:
        """Returns when the row is committed: whether it stands in the ledger. Raises what the database raised for this row.

        `doubted`: a later version of the call may stand there already.
        """
        if doubted:
            self._doubted.add(row["call_id"])
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._open.append((row, written))
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
            batch, self._open = self._open[:MAX_BATCH], self._open[MAX_BATCH:]
            doubted = {row["call_id"] for row, _ in batch} & self._doubted
            self._doubted -= doubted
            try:
                standing = await asyncio.to_thread(self._ledger.record, [row for row, _ in batch], doubted)
            except (SQLAlchemyError, OverflowError) as error:
                await self._write_singly(batch, error)
            else:
                for (_, written), stands in zip(batch, standing, strict=True):
                    _finish(written, stands)
            finally:  # nobody may wait for ever, whatever went wrong
                for _, written in batch:
                    _finish(written, RuntimeError("the batch was not written"))

    async def _write_singly(self, batch: list[tuple[Row, asyncio.Future[bool]]], error: Exception) -> None:
        """One row that the database refuses must not hold up the others; a database that is away refuses all alike."""
        if len(batch) == 1 or isinstance(error, OperationalError):
            for _, written in batch:
                _finish(written, error)
            return
        for entry in batch:
            try:
                [stands] = await asyncio.to_thread(self._ledger.record, [entry[0]])
            except (SQLAlchemyError, OverflowError) as own:
                _finish(entry[1], own)
            else:
                _finish(entry[1], stands)


def _finish(written: asyncio.Future[bool], outcome: bool | Exception) -> None:
    if written.done():  # its handler was cancelled; the row is written all the same
        return
    if isinstance(outcome, Exception):
        written.set_exception(outcome)
    else:
        written.set_result(outcome)
