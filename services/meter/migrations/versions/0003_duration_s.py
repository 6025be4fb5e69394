"""How long the provider took for a call."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("calls", sa.Column("duration_s", sa.Float))


def downgrade() -> None:
    op.drop_column("calls", "duration_s")
