"""Documents and results into the index; searches and questions about it answered."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import structlog
from pydantic import ValidationError
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from bus.connection import Bus
from bus.delivery import Delivery
from bus.errors import Retry
from contracts.base import TENANT
from contracts.config import ConfigV1
from contracts.search import FoundV1, IndexedV1, IndexQuestionV1, SearchV1
from observability import metrics
from services.indexer.embedding import Embedder, NotNow, Untakable
from services.indexer.entries import Entry, entry_of_document, entry_of_result
from services.indexer.finding import Finder
from services.indexer.index import Index
from services.indexer.settings import IndexerSettings
from services.indexer.writing import Written
from storage.commits import GroupCommit
from storage.database import whereabouts
from storage.texts import utc_text

log = structlog.get_logger()

INDEX_RETRY_S = 2.0
MAX_BATCH = 256
SWEEP_EVERY_S = 5.0
REMEMBER_DELETIONS = timedelta(days=1)
"""Longer than any version of a document is under way."""
DOCUMENTS, READER = "DOCUMENTS", "indexer-documents"


class Handlers:
    """What the indexer does with a delivery, with a question, and by the clock."""

    def __init__(
        self, bus: Bus, index: Index, embedder: Embedder | None, config: Callable[[], ConfigV1 | None], settings: IndexerSettings, wake: Callable[[], None]
    ) -> None:
        """`wake` is called when there are new chunks."""
        self._bus, self._index, self._embedder, self._config = bus, index, embedder, config
        self._results_days, self._wake = settings.results_days, wake
        self._finder = Finder(index, settings.memory_mb * 2**20)
        self._commits: GroupCommit[Entry, Written] = GroupCommit(self._write, MAX_BATCH)

    async def on_document(self, delivery: Delivery) -> None:
        """Index, replace or take out a document."""
        await self._commit(entry_of_document(delivery.tokens, delivery.body, delivery.stored_at, self._tenants()))

    async def on_result(self, delivery: Delivery) -> None:
        """Index what a succeeded request brought."""
        entry = entry_of_result(delivery.tokens, delivery.body, delivery.stored_at, self._results_days)
        if entry is not None:
            await self._commit(entry)

    async def on_whereabouts(self, _: bytes) -> bytes:
        """Answer where an SQLite index lies, for whoever works on this machine."""
        return whereabouts(self._index.engine)

    async def on_search(self, tenant: str, body: bytes) -> bytes:
        """Answer a SearchV1 with a FoundV1."""
        began = time.monotonic()
        try:
            found = await self._search(_of(tenant), SearchV1.model_validate_json(body))
        except ValueError as error:
            found = FoundV1(error=_why(error))
        except SQLAlchemyError as error:
            log.error("index_unreadable", error=type(error).__name__)
            found = FoundV1(error=f"the index cannot be read ({type(error).__name__}): see the indexer's log and HEADRACE_INDEXER_INDEX_URL")
        metrics.SEARCH_DURATION.record(time.monotonic() - began)
        log.debug("searched", hits=len(found.hits), duration_s=round(time.monotonic() - began, 4))
        return found.model_dump_json().encode()

    async def on_question(self, tenant: str, body: bytes) -> bytes:
        """Answer an IndexQuestionV1 with an IndexedV1."""
        try:
            question = IndexQuestionV1.model_validate_json(body or b"{}")
            space = self._embedder.space if self._embedder is not None else None
            counts = await asyncio.to_thread(self._index.counts, _of(tenant), space)
            standing: dict[str, str] = {}
            if question.collection is not None and question.limit:
                standing = await asyncio.to_thread(self._index.standing, tenant, question.collection, question.after or "", question.limit)
            answer = IndexedV1(**counts, standing=standing, stream_floor=await self._floor())
        except ValueError as error:
            answer = IndexedV1(error=_why(error))
        except SQLAlchemyError as error:
            log.error("index_unreadable", error=type(error).__name__)
            answer = IndexedV1(error=f"the index cannot be read ({type(error).__name__}): see the indexer's log and HEADRACE_INDEXER_INDEX_URL")
        return answer.model_dump_json().encode()

    async def sweep(self) -> None:
        """Take out what expires, as long as the service runs."""
        while True:
            now = datetime.now(UTC)
            try:
                gone = await asyncio.to_thread(self._index.sweep, utc_text(now), utc_text(now - REMEMBER_DELETIONS))
            except SQLAlchemyError as error:
                log.warning("sweep_failed", error=type(error).__name__)
                gone = 0
            if gone:
                log.info("expired", count=gone)
            else:
                await asyncio.sleep(SWEEP_EVERY_S)

    async def close(self) -> None:
        await self._commits.close()
        self._index.close()

    async def _commit(self, entry: Entry) -> None:
        try:
            written = await self._commits.add(entry)
        except OperationalError as error:
            raise Retry(INDEX_RETRY_S, f"the index cannot be used: {type(error.orig).__name__}") from error
        if not written.stands:
            return
        metrics.INDEX_DOCUMENTS.add(1, "delete" if entry.text is None else "upsert" if entry.kind == "document" else "result")
        metrics.INDEX_CHUNKS.add(written.known_chunks, "reused")
        if written.new_chunks:
            self._wake()

    async def _write(self, batch: Sequence[Entry]) -> list[Written]:
        return await asyncio.to_thread(self._index.write, batch)

    async def _search(self, tenant: str, question: SearchV1) -> FoundV1:
        vector, space, warning = None, None, None
        if self._embedder is not None and question.by != "words":
            space = self._embedder.space
            try:
                vector = (await self._embedder.embed(tenant, [question.text], urgent=True))[0]
            except (NotNow, Untakable) as error:
                space, warning = None, f"by words alone: {error}"
        elif question.by == "meaning":
            warning = "this indexer has no embeddings: set HEADRACE_INDEXER_EMBEDDINGS"
        hits = await asyncio.to_thread(self._finder.find, tenant, question, vector, space, utc_text(datetime.now(UTC)))
        return FoundV1(hits=tuple(hits), space=space, warning=warning)

    async def _floor(self) -> int:
        """Up to which sequence of DOCUMENTS everything is committed."""
        info = await self._bus.nc.jetstream().consumer_info(DOCUMENTS, READER)
        if info.delivered is None or info.ack_floor is None:
            return 0
        done = not info.num_ack_pending and not info.num_pending
        return int((info.delivered if done else info.ack_floor).stream_seq)

    def _tenants(self) -> set[str]:
        config = self._config()
        return {"default"} if config is None or config.tenants is None else set(config.tenants)


def _of(tenant: str) -> str:
    """The tenant that a subject names. Raises ValueError."""
    if not TENANT.match(tenant):
        raise ValueError(f"{tenant!r} is not a tenant: ask on a subject that ends with one")
    return tenant


def _why(error: ValueError) -> str:
    """What is wrong with a question, without what was asked."""
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'question'}: {each['msg']}" for each in error.errors(include_input=False, include_url=False))
