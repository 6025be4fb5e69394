"""The ledger: one row a call."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "reasoning_tokens")


def upgrade() -> None:
    """Ledgers from before the numbers have the table already."""
    op.create_table(
        "calls",
        sa.Column("call_id", sa.String, primary_key=True),
        sa.Column("requested_at", sa.String, primary_key=True),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("request_id", sa.String, nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("route", sa.String),
        sa.Column("lane", sa.String, nullable=False),
        sa.Column("provider", sa.String, nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("response_model", sa.String),
        sa.Column("outcome", sa.String, nullable=False),
        sa.Column("basis", sa.String, nullable=False),
        *(sa.Column(name, sa.BigInteger) for name in TOKENS),
        sa.Column("cost_usd", sa.String),
        sa.Column("estimated", sa.Boolean, nullable=False),
        sa.Column("price_version", sa.String),
        sa.Column("metadata", sa.JSON, nullable=False),
        sa.Column("streamed", sa.Boolean, nullable=False),
        sa.Column("late", sa.Boolean, nullable=False),
        sa.Column("occurred_at", sa.String, nullable=False),
        sa.Column("day", sa.String, nullable=False),
        if_not_exists=True,
    )
    op.create_index("calls_tenant_occurred_at", "calls", ["tenant", "occurred_at"], if_not_exists=True)


def downgrade() -> None:
    """Nobody loses a ledger by a number."""
    rows = op.get_bind().execute(sa.text("SELECT count(*) FROM calls")).scalar_one()
    if rows:
        raise ValueError(f"the ledger holds {rows} calls: save them, then drop the table 'calls' by hand")
    op.drop_table("calls")
