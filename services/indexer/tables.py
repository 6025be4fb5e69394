"""The tables of the index. Every number in them comes from one counter that a writer holds until it commits: greater is later."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, String, Table, UniqueConstraint

NUMBER = BigInteger().with_variant(Integer(), "sqlite")
"""In SQLite the row's own number, without an index of its own."""
metadata = MetaData()
counter = Table("index_counter", metadata, Column("name", String, primary_key=True), Column("value", BigInteger, nullable=False))
tenants = Table(
    "index_tenants",
    metadata,
    Column("number", NUMBER, primary_key=True, autoincrement=False),
    Column("name", String, nullable=False, unique=True),
    Column("removed", BigInteger, nullable=False),  # chunks and vectors that went, ever: whoever holds vectors in memory sees that some are gone
)
documents = Table(
    "index_documents",
    metadata,
    Column("number", NUMBER, primary_key=True, autoincrement=False),
    Column("tenant", BigInteger, nullable=False),
    Column("kind", String, nullable=False),
    Column("collection", String, nullable=False),
    Column("id", String, nullable=False),
    Column("stored_at", String, nullable=False),  # on the bus: the later version holds
    Column("live", Boolean, nullable=False),  # a deleted one stays for a while, so that an older version that is still under way does not bring it back
    Column("sha256", String, nullable=False),
    Column("chunker", String, nullable=False),
    Column("at", String, nullable=False),
    Column("expires_at", String),
    Column("uri", String),
    Column("title", String),
    Column("metadata", JSON, nullable=False),
    Column("provider", String),
    Column("model", String),
    UniqueConstraint("tenant", "kind", "collection", "id"),
)
placements = Table(
    "index_placements",
    metadata,
    Column("document", BigInteger, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("chunk", BigInteger, nullable=False),
)
chunks = Table(
    "index_chunks",
    metadata,
    Column("number", NUMBER, primary_key=True, autoincrement=False),
    Column("tenant", BigInteger, nullable=False),
    Column("chunk_id", String, nullable=False),
    Column("text", String, nullable=False),
    UniqueConstraint("tenant", "chunk_id"),
)
vectors = Table(
    "index_vectors",
    metadata,
    Column("number", NUMBER, primary_key=True, autoincrement=False),
    Column("tenant", BigInteger, nullable=False),
    Column("chunk", BigInteger, nullable=False),
    Column("space", String, nullable=False),
    Column("vector", LargeBinary, nullable=False),  # little-endian float32 of length 1; empty: the model does not take this chunk
    UniqueConstraint("chunk", "space"),
)
by_chunk = Index("index_placements_chunk", placements.c.chunk)
by_space = Index("index_vectors_space", vectors.c.tenant, vectors.c.space, vectors.c.number)
by_expiry = Index("index_documents_expires_at", documents.c.expires_at)
