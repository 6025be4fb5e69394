"""Where the indexer's parts meet."""

import os
import socket

import structlog

from bus.application import Application
from bus.errors import Unavailable
from bus.lease import Lease
from services.indexer.embedding import UnusableEmbeddings, embedder_of
from services.indexer.filling import Filler
from services.indexer.handlers import DOCUMENTS, READER, Handlers
from services.indexer.index import Index
from services.indexer.settings import IndexerSettings
from storage.database import UnusableDatabase
from storage.migrations import opened

log = structlog.get_logger()

DUTY = "embeddings"


def build(app: Application, settings: IndexerSettings) -> None:
    """Consume documents and results, answer searches. Raises SystemExit where the index cannot be kept as configured."""
    try:
        index = Index(settings.url)
        embedder = embedder_of(settings.embeddings, app.bus, lambda: app.config.current)
    except (UnusableDatabase, UnusableEmbeddings) as error:
        raise SystemExit(f"headrace: {error}") from error
    lease = Lease(app.bus, DUTY, f"{socket.gethostname()}-{os.getpid()}")
    alone = index.engine.dialect.name == "sqlite"

    async def may_fill() -> bool:
        """With a file there is one indexer; of several on a server one makes the vectors, so that none is paid for twice."""
        try:
            return alone or await lease.hold()
        except Unavailable:
            return False

    filler = Filler(index, embedder, may_fill) if embedder is not None else None
    handlers = Handlers(app.bus, index, embedder, lambda: app.config.current, settings, filler.wake if filler else lambda: None)

    async def begin() -> None:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        log.info("index_opened", migrated=await opened(index.create))

    app.on_start(begin)
    app.consume(DOCUMENTS, READER, handlers.on_document, service="indexer", slots=settings.slots)
    app.consume("RESULTS", "indexer-results", handlers.on_result, service="indexer", slots=settings.slots)
    app.query_of_tenants("search", handlers.on_search)
    app.query_of_tenants("indexed", handlers.on_question)
    app.query("index", handlers.on_whereabouts)
    app.background(handlers.sweep)
    if filler is not None:
        app.background(filler.run)
    app.on_stop(handlers.close)
