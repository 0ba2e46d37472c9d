"""Jobs that must not share a worker, found while they wait."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_SUSPECT = sa.text("state = 'queued' AND alone")


def upgrade() -> None:
    op.create_index("ix_jobs_suspect", "jobs", ["pool"], postgresql_where=_SUSPECT, sqlite_where=_SUSPECT)
