"""GPU servers with what is known of them, the workers that lead them, and what operators did."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_ID = sa.String(36)
_MOMENT = sa.DateTime(timezone=True)
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_LEFT = sa.text("state = 'queued' AND server IS NOT NULL")


def upgrade() -> None:
    _create_servers()
    op.create_table(
        "workers",
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("started_at", _MOMENT, nullable=False),
        sa.Column("seen_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_workers")),
    )
    op.create_table(
        "audit_entries",
        sa.Column("id", _NUMBER, nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("actor", sa.String(length=100), nullable=False),
        sa.Column("action", sa.String(length=50), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entries")),
    )
    op.create_index("ix_audit_entries_at", "audit_entries", ["at"])
    op.add_column("jobs", sa.Column("server", sa.String(length=50), nullable=True))
    op.add_column("jobs", sa.Column("avoid", sa.String(length=50), nullable=True))
    op.add_column("jobs", sa.Column("hand_back_at", _MOMENT, nullable=True))
    op.create_index("ix_jobs_left", "jobs", ["server"], postgresql_where=_LEFT, sqlite_where=_LEFT)
    op.add_column("attempts", sa.Column("reason", sa.String(length=50), nullable=True))


def _create_servers() -> None:
    op.create_table(
        "servers",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("url", sa.String(length=500), nullable=False),
        sa.Column("credential", sa.Text(), nullable=True),
        sa.Column("pool", sa.String(length=50), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("version", sa.Text(), nullable=True),
        sa.Column("device", sa.Text(), nullable=True),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=True),
        sa.Column("memory_free_bytes", sa.BigInteger(), nullable=True),
        sa.Column("queue_length", sa.Integer(), nullable=True),
        sa.Column("capabilities", sa.Text(), nullable=False),
        sa.Column("said_at", _MOMENT, nullable=True),
        sa.Column("seen_at", _MOMENT, nullable=True),
        sa.Column("breaker", sa.String(length=20), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("openings", sa.Integer(), nullable=False),
        sa.Column("opened_at", _MOMENT, nullable=True),
        sa.Column("retry_at", _MOMENT, nullable=True),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.Column("led_by", sa.String(length=100), nullable=True),
        sa.Column("lead_until", _MOMENT, nullable=True),
        sa.Column("preset", sa.String(length=100), nullable=True),
        sa.Column("preset_since", _MOMENT, nullable=True),
        sa.Column("switches", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_servers")),
        sa.UniqueConstraint("name", name=op.f("uq_servers_name")),
        sa.UniqueConstraint("url", name=op.f("uq_servers_url")),
    )
