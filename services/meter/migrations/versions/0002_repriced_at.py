"""When a re-pricing run corrected a call's cost."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Ledgers from before the numbers may have the column already."""
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("calls")}
    if "repriced_at" not in there:
        op.add_column("calls", sa.Column("repriced_at", sa.String))


def downgrade() -> None:
    op.drop_column("calls", "repriced_at")
