"""Vectors for the chunks that have none: of new documents, of those that an outage or a kill left behind, and of all of them under another model."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence

import structlog
from sqlalchemy.exc import SQLAlchemyError

from observability import metrics
from services.indexer.embedding import Embedder, NotNow, Untakable
from services.indexer.index import Index, Unembedded

log = structlog.get_logger()

IDLE_S, PAUSE_S = 1.0, 2.0
KEEP_OTHERS_S, TIDY_EVERY_S = 3600.0, 60.0
"""Vectors of another model stay for so long after everything has one of this, or after this process began; then it is looked for such so often."""
EMPTY = b""
"""Instead of the vector of a chunk that the model does not take: nobody tries it again."""


class Filler:
    """Runs beside the consumers, in one process of the fleet at a time."""

    def __init__(self, index: Index, embedder: Embedder, may: Callable[[], Awaitable[bool]], clock: Callable[[], float] = time.monotonic) -> None:
        """`may`: whether this process is the one. `clock`: seconds."""
        self._index, self._embedder, self._may, self._clock = index, embedder, may, clock
        self._after, self._space = 0, ""
        self._tidy_at: float | None = None
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """There are new chunks."""
        self._woken.set()

    async def run(self) -> None:
        while True:
            self._woken.clear()
            try:
                may = await self._may()
                filled = may and (await self.fill() or await self.tidy())
            except (NotNow, SQLAlchemyError) as error:
                log.warning("vectors_wait", error=str(error) if isinstance(error, NotNow) else type(error).__name__)
                await asyncio.sleep(PAUSE_S)
                continue
            if not filled:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), IDLE_S)

    async def fill(self) -> bool:
        """Embed a page of chunks; whether there were any. Raises NotNow, SQLAlchemyError."""
        space = self._embedder.space
        if space is None:
            return False
        if space != self._space:  # from the beginning: what has a vector in this space is passed over
            self._space, self._after, self._tidy_at = space, 0, None
        page = await asyncio.to_thread(self._index.unembedded, space, self._after, self._embedder.batch)
        if not page:
            return False
        names = await asyncio.to_thread(self._index.names)
        for tenant, some in _by_tenant(page):
            made = await self._vectors(names[tenant], some)
            await asyncio.to_thread(self._index.add_vectors, space, made)
            metrics.INDEX_CHUNKS.add(len(made), "embedded")
        self._after = page[-1].number
        return True

    async def tidy(self) -> bool:
        """Delete vectors of other models, though not at once: who goes back to one pays for nothing twice. Whether there were any. Raises SQLAlchemyError."""
        now = self._clock()
        if self._tidy_at is None:
            self._tidy_at = now + KEEP_OTHERS_S
        if not self._space or now < self._tidy_at:
            return False
        gone = await asyncio.to_thread(self._index.drop_other_spaces, self._space)
        if gone:
            log.info("vectors_of_other_models_deleted", count=gone)
        else:
            self._tidy_at = now + TIDY_EVERY_S
        return bool(gone)

    async def _vectors(self, tenant: str, some: Sequence[Unembedded]) -> list[tuple[Unembedded, bytes]]:
        """Of one tenant's chunks; where the model refuses some of them, each half is tried alone."""
        try:
            rows = await self._embedder.embed(tenant, [chunk.text for chunk in some], urgent=False)
        except Untakable as error:
            if len(some) == 1:
                log.warning("chunk_not_embedded", tenant=tenant, chunk=some[0].number, error=str(error))
                return [(some[0], EMPTY)]
            half = len(some) // 2
            return [*await self._vectors(tenant, some[:half]), *await self._vectors(tenant, some[half:])]
        return [(chunk, row.astype("<f4").tobytes()) for chunk, row in zip(some, rows, strict=True)]


def _by_tenant(page: Sequence[Unembedded]) -> Iterator[tuple[int, list[Unembedded]]]:
    """Never two tenants in one request: each pays for its own, and neither is asked about with the other's."""
    for tenant in sorted({chunk.tenant for chunk in page}):
        yield tenant, [chunk for chunk in page if chunk.tenant == tenant]
