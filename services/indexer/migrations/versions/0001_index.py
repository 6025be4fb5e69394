"""The index: tenants, documents, their chunks, where those stand, their vectors, and the counter of all numbers."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TABLES = ("index_counter", "index_tenants", "index_documents", "index_placements", "index_chunks", "index_vectors")


def upgrade() -> None:
    """Indexes from before the numbers have the tables already."""
    op.create_table("index_counter", sa.Column("name", sa.String, primary_key=True), sa.Column("value", sa.BigInteger, nullable=False), if_not_exists=True)
    op.create_table(
        "index_tenants",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String, nullable=False, unique=True),
        sa.Column("removed", sa.BigInteger, nullable=False),
        if_not_exists=True,
    )
    _documents()
    _chunks()
    op.create_index("index_placements_chunk", "index_placements", ["chunk"], if_not_exists=True)
    op.create_index("index_vectors_space", "index_vectors", ["tenant", "space", "number"], if_not_exists=True)
    op.create_index("index_documents_expires_at", "index_documents", ["expires_at"], if_not_exists=True)
    if op.get_bind().dialect.name == "postgresql":  # SQLite has a table of words for each tenant, made with its first document
        op.execute("CREATE INDEX IF NOT EXISTS index_chunks_words ON index_chunks USING gin (to_tsvector('simple'::regconfig, text))")
    if op.get_bind().execute(sa.text("SELECT count(*) FROM index_counter")).scalar_one() == 0:
        op.execute("INSERT INTO index_counter (name, value) VALUES ('all', 0)")


def _documents() -> None:
    op.create_table(
        "index_documents",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("tenant", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("collection", sa.String, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("stored_at", sa.String, nullable=False),
        sa.Column("live", sa.Boolean, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("chunker", sa.String, nullable=False),
        sa.Column("at", sa.String, nullable=False),
        sa.Column("expires_at", sa.String),
        sa.Column("uri", sa.String),
        sa.Column("title", sa.String),
        sa.Column("metadata", sa.JSON, nullable=False),
        sa.Column("provider", sa.String),
        sa.Column("model", sa.String),
        sa.UniqueConstraint("tenant", "kind", "collection", "id"),
        if_not_exists=True,
    )
    op.create_table(
        "index_placements",
        sa.Column("document", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("chunk", sa.BigInteger, nullable=False),
        if_not_exists=True,
    )


def _chunks() -> None:
    op.create_table(
        "index_chunks",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("tenant", sa.BigInteger, nullable=False),
        sa.Column("chunk_id", sa.String, nullable=False),
        sa.Column("text", sa.String, nullable=False),
        sa.UniqueConstraint("tenant", "chunk_id"),
        if_not_exists=True,
    )
    op.create_table(
        "index_vectors",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("tenant", sa.BigInteger, nullable=False),
        sa.Column("chunk", sa.BigInteger, nullable=False),
        sa.Column("space", sa.String, nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("chunk", "space"),
        if_not_exists=True,
    )


def downgrade() -> None:
    """Nobody loses an index by a number."""
    rows = op.get_bind().execute(sa.text("SELECT count(*) FROM index_documents")).scalar_one()
    if rows:
        raise ValueError(f"the index holds {rows} documents: save them, then drop the tables 'index_…' by hand")
    for table in reversed(TABLES):
        op.drop_table(table)
