"""Lanes told apart by the models that their jobs need, and what each seat can run."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_ID = sa.String(36)
_MOMENT = sa.DateTime(timezone=True)
_QUEUED = sa.text("state = 'queued'")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("models", sa.Text(), nullable=False, server_default="{}"))
    op.drop_index("ix_jobs_lane", "jobs")
    op.create_index(
        "ix_jobs_lane",
        "jobs",
        ["pool", "priority", "account_id", "preset_id", "models", "queued_at", "number"],
        postgresql_where=_QUEUED,
        sqlite_where=_QUEUED,
    )
    _count_lanes_anew()
    op.create_table(
        "seats",
        sa.Column("worker", sa.String(length=100), nullable=False),
        sa.Column("seat", sa.Text(), nullable=False),
        sa.Column("pool", sa.String(length=50), nullable=False),
        sa.Column("capabilities", sa.Text(), nullable=False),
        sa.Column("seen_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("worker", "seat", "pool", name=op.f("pk_seats")),
    )


def _count_lanes_anew() -> None:
    op.drop_table("lanes")
    op.create_table(
        "lanes",
        sa.Column("pool", sa.String(length=50), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("preset_id", sa.String(length=100), nullable=False),
        sa.Column("models", sa.Text(), nullable=False),
        sa.Column("waiting", sa.Integer(), nullable=False),
        sa.Column("oldest_at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_lanes_account_id")),
        sa.PrimaryKeyConstraint(
            "pool", "priority", "account_id", "preset_id", "models", name=op.f("pk_lanes")
        ),
    )
    op.execute(
        "INSERT INTO lanes (pool, priority, account_id, preset_id, models, waiting, oldest_at) "
        "SELECT pool, priority, account_id, preset_id, models, count(*), min(queued_at) "
        "FROM jobs WHERE state = 'queued' GROUP BY pool, priority, account_id, preset_id, models"
    )
