"""Accounts with a pool of servers of their own, and the version of the engine that each attempt ran on."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("accounts", sa.Column("pool", sa.String(length=50), nullable=True))
    op.add_column("attempts", sa.Column("engine_version", sa.String(length=100), nullable=True))
