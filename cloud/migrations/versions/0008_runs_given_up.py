"""Attempts that ended without an end of their runs, found by their server."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_GIVEN_UP = sa.text("\"end\" IN ('broken_off', 'lost', 'released') AND server IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        "ix_attempts_given_up",
        "attempts",
        ["server", "ended_at"],
        postgresql_where=_GIVEN_UP,
        sqlite_where=_GIVEN_UP,
    )
