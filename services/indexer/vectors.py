"""A tenant's vectors in memory, kept up with the database: a matrix, compared row by row with a question's vector."""

import threading
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

    @property
    def bytes(self) -> int:
        return 0 if self._rows is None else int(self._rows.nbytes + self._chunks.nbytes)

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
        fitting = [(chunk, vector) for _, chunk, vector in found if size and len(vector) == size]
        if not fitting:
            return
        needed = self._count + len(fitting)
        if self._rows is None or needed > len(self._rows):
            rows = numpy.empty((max(needed, FIRST_ROWS, self._count * 3 // 2), size // 4), dtype=numpy.float32)
            numbers = numpy.empty(len(rows), dtype=numpy.int64)
            if self._rows is not None:
                rows[: self._count], numbers[: self._count] = self._rows[: self._count], self._chunks[: self._count]
            self._rows, self._chunks = rows, numbers
        self._rows[self._count : needed] = numpy.frombuffer(b"".join(vector for _, vector in fitting), dtype="<f4").reshape(len(fitting), -1)
        self._chunks[self._count : needed] = [chunk for chunk, _ in fitting]
        self._count = needed

    def _forget(self, connection: Connection) -> None:
        """Leave out the rows of chunks that went. New arrays: another thread may still read the old ones."""
        import numpy

        if self._rows is None:
            return
        of = (vectors.c.tenant == self._tenant, vectors.c.space == self._space)
        live = numpy.array(connection.execute(select(vectors.c.chunk).where(*of)).scalars().all(), dtype=numpy.int64)
        kept = numpy.isin(self._chunks[: self._count], live)
        self._rows, self._chunks = self._rows[: self._count][kept], self._chunks[: self._count][kept]
        self._count = len(self._rows)
