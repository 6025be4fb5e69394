"""Run the indexer alone: `python -m services.indexer`."""

from bus.application import serve
from services.indexer.app import build
from services.indexer.settings import IndexerSettings

if __name__ == "__main__":
    serve("indexer", build, IndexerSettings)
