"""An entity's etag is its version: a number of its own began anew when the entity was made again"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TABLES = (
    "tenants", "roles", "user_roles", "policies", "targets", "target_tables", "target_functions", "tiers",
    "flag_definitions", "revocations",
)  # fmt: skip


def upgrade() -> None:
    for table in _TABLES:
        op.drop_column(table, "etag")


def downgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("etag", sa.Integer(), nullable=False, server_default="1"))
