"""Questions to the index and what it found."""

from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, Field

from .base import Closed, DocumentId, Metadata, Open

ItemKind = Literal["result", "document"]
MAX_HITS = 100


class SearchV1(Closed):
    """What is looked for in the index of the tenant that the subject names. Filters hold together; `since` is included, `until` is not."""

    text: str = Field(min_length=1, max_length=8192)
    by: Literal["both", "words", "meaning"] = "both"
    kind: ItemKind | None = None
    collection: DocumentId | None = None
    since: AwareDatetime | None = None
    """When the document was stored or the result was finished."""
    until: AwareDatetime | None = None
    metadata: Metadata = Field(default_factory=dict)
    provider: str | None = None
    model: str | None = None
    limit: int = Field(default=10, ge=1, le=MAX_HITS)


class HitV1(Open):
    """A document or a result. The ranks say where its best part stood in each list, from 1; null: not there."""

    kind: ItemKind
    id: str
    collection: str | None
    uri: str | None
    title: str | None
    snippet: str
    score: float
    words_rank: int | None
    meaning_rank: int | None
    metadata: dict[str, str]
    provider: str | None
    model: str | None
    at: datetime


class FoundV1(Open):
    """The best first. `error`: why there is no answer; `warning`: why it is not a whole one."""

    hits: tuple[HitV1, ...] = ()
    space: str | None = None
    """The embedding model whose vectors were compared; null where only words were."""
    warning: str | None = None
    error: str | None = None


class IndexQuestionV1(Closed):
    """How far the indexer is, and which documents of a collection it holds, in the order of their ids."""

    collection: DocumentId | None = None
    after: DocumentId | None = None
    limit: int = Field(default=0, ge=0, le=10_000)


class IndexedV1(Open):
    """`sha256` is that of each document's body as it was stored on the bus."""

    documents: int = 0
    results: int = 0
    chunks: int = 0
    without_vector: int | None = None
    """Chunks that cannot be found by meaning yet; null where nothing embeds."""
    stream_floor: int = 0
    """All messages of DOCUMENTS up to this sequence are in the index (or are dead letters)."""
    standing: dict[str, str] = Field(default_factory=dict)
    """Document id → sha256."""
    error: str | None = None
