"""Where jobs and audited deeds came from, tickets that open streams, and keys with a rate of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_ID = sa.String(36)
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("jobs", sa.Column("request_id", sa.String(128), nullable=True))
    op.add_column("jobs", sa.Column("trace", sa.String(55), nullable=True))
    op.add_column("audit_entries", sa.Column("request_id", sa.String(128), nullable=True))
    op.add_column("api_keys", sa.Column("requests_per_minute", sa.Integer(), nullable=True))
    op.create_table(
        "stream_tickets",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("key_id", _ID, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name=op.f("fk_stream_tickets_key_id")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_stream_tickets")),
    )
    op.create_index("ix_stream_tickets_expires_at", "stream_tickets", ["expires_at"])
