"""Tenants' vectors in memory, kept up with the database: a matrix each, compared row by row with a question's vector."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from services.indexer.tables import tenants, vectors

FIRST_ROWS = 1024


class Matrix:
    """One tenant's vectors in one space. Any thread may ask."""

    def __init__(self, tenant: int, space: str) -> None:
        self._tenant, self._space = tenant, space
        self._lock = threading.Lock()
        self._last = self._removed = 0
        self._count = 0
        self._rows: Any = None
        self._chunks: Any = None
        self._numbers: Any = None

    @property
    def bytes(self) -> int:
        return 0 if self._rows is None else int(self._rows.nbytes + self._chunks.nbytes + self._numbers.nbytes)

    def nearest(self, connection: Connection, question: Any, among: Sequence[int] | None, limit: int) -> list[int]:
        """Chunks by the cosine with the question's vector, the greatest first; `among`: only these."""
        import numpy

        rows, numbers = self._current(connection)
        if rows is None or rows.shape[1] != len(question):
            return []
        if among is not None:
            mask = numpy.isin(numbers, numpy.array(among, dtype=numpy.int64))
            rows, numbers = rows[mask], numbers[mask]
        scores = numpy.vecdot(rows, question)  # on one core: a product by BLAS waits for all of its threads, 20 times as long on a busy machine
        best = numpy.argpartition(-scores, limit)[:limit] if limit < len(scores) else numpy.arange(len(scores))
        return [int(number) for number in numbers[best[numpy.argsort(-scores[best], kind="stable")]]]

    def _current(self, connection: Connection) -> tuple[Any, Any]:
        """The matrix and the chunk of each row, as the database has them now."""
        with self._lock:
            removed = connection.execute(select(tenants.c.removed).where(tenants.c.number == self._tenant)).scalar() or 0
            if removed != self._removed:
                self._forget(connection)
                self._removed = removed
            self._read(connection)
            return (None, None) if self._rows is None else (self._rows[: self._count], self._chunks[: self._count])

    def _read(self, connection: Connection) -> None:
        """What was added since."""
        import numpy

        of = (vectors.c.tenant == self._tenant, vectors.c.space == self._space, vectors.c.number > self._last)
        found = connection.execute(select(vectors.c.number, vectors.c.chunk, vectors.c.vector).where(*of).order_by(vectors.c.number)).all()
        if not found:
            return
        self._last = found[-1][0]
        size = len(found[0][2]) if self._rows is None else self._rows.shape[1] * 4
        fitting = [row for row in found if size and len(row.vector) == size]
        if not fitting:
            return
        needed = self._count + len(fitting)
        if self._rows is None or needed > len(self._rows):
            self._grow(max(needed, FIRST_ROWS, self._count * 3 // 2), size // 4)
        self._rows[self._count : needed] = numpy.frombuffer(b"".join(row.vector for row in fitting), dtype="<f4").reshape(len(fitting), -1)
        self._chunks[self._count : needed] = [row.chunk for row in fitting]
        self._numbers[self._count : needed] = [row.number for row in fitting]
        self._count = needed

    def _grow(self, size: int, width: int) -> None:
        """Room for so many rows. New arrays: another thread may still read the old ones."""
        import numpy

        rows, chunks, numbers = numpy.empty((size, width), dtype=numpy.float32), numpy.empty(size, dtype=numpy.int64), numpy.empty(size, dtype=numpy.int64)
        if self._rows is not None:
            for new, old in ((rows, self._rows), (chunks, self._chunks), (numbers, self._numbers)):
                new[: self._count] = old[: self._count]
        self._rows, self._chunks, self._numbers = rows, chunks, numbers

    def _forget(self, connection: Connection) -> None:
        """Leave out the rows that went, by their numbers: a chunk's vector may have been made again since. New arrays, as above."""
        import numpy

        if self._rows is None:
            return
        of = (vectors.c.tenant == self._tenant, vectors.c.space == self._space)
        live = numpy.array(connection.execute(select(vectors.c.number).where(*of)).scalars().all(), dtype=numpy.int64)
        kept = numpy.isin(self._numbers[: self._count], live)
        self._rows, self._chunks, self._numbers = (of_all[: self._count][kept] for of_all in (self._rows, self._chunks, self._numbers))
        self._count = len(self._rows)


class Matrices:
    """Those of the tenants that have searched last, as many as memory is given. Any thread may ask."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, str], Matrix] = OrderedDict()

    @property
    def bytes(self) -> int:
        with self._lock:
            return sum(matrix.bytes for matrix in self._kept.values())

    def of(self, tenant: int, space: str) -> Matrix:
        """A tenant's vectors, read anew where they had to leave."""
        with self._lock:
            matrix = self._kept.setdefault((tenant, space), Matrix(tenant, space))
            self._kept.move_to_end((tenant, space))
            return matrix

    def shrink(self) -> None:
        """Let those go that were asked for longest ago; the last one stays, however large."""
        with self._lock:
            while len(self._kept) > 1 and sum(matrix.bytes for matrix in self._kept.values()) > self._max_bytes:
                self._kept.popitem(last=False)
