"""Recipes of outputs, links that share, and what is being collected."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_ID = sa.String(36)
_DIGEST = sa.String(64)
_MOMENT = sa.DateTime(timezone=True)
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_CONDEMNED = sa.text("condemned_at IS NOT NULL")


def upgrade() -> None:
    op.add_column("outputs", sa.Column("recipe", sa.Text(), nullable=True))
    for column in (
        sa.Column("derived_from", _DIGEST, nullable=True),
        sa.Column("touched_at", _MOMENT, nullable=True),
        sa.Column("condemned_at", _MOMENT, nullable=True),
        sa.Column("deleting_at", _MOMENT, nullable=True),
    ):
        op.add_column("artifacts", column)
    op.execute("UPDATE artifacts SET touched_at = coalesce(ready_at, created_at)")
    op.create_index("ix_artifacts_touched", "artifacts", ["touched_at"])
    op.create_index(
        "ix_artifacts_condemned",
        "artifacts",
        ["condemned_at"],
        postgresql_where=_CONDEMNED,
        sqlite_where=_CONDEMNED,
    )
    op.create_table(
        "shares",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("id", _ID, nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("digest", _DIGEST, nullable=False),
        sa.Column("source", _DIGEST, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("token_digest", _DIGEST, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.Column("revoked_at", _MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_shares_account_id")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_shares")),
        sa.UniqueConstraint("id", name=op.f("uq_shares_id")),
        sa.UniqueConstraint("token_digest", name=op.f("uq_shares_token_digest")),
    )
    op.create_index("ix_shares_artifact", "shares", ["account_id", "digest"])
