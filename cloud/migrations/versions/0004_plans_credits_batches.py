"""Plans, credits with their entries, batches, and how long runs took."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_ID = sa.String(36)
_MOMENT = sa.DateTime(timezone=True)
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_RUNNING = "state IN ('processing', 'saving')"


def upgrade() -> None:
    """An account made by a program that knows of no plans has no limits."""
    op.add_column(
        "accounts", sa.Column("plan", sa.String(length=20), nullable=False, server_default="studio")
    )
    op.add_column(
        "accounts", sa.Column("graphs_allowed", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column("attempts", sa.Column("server_class", sa.String(length=100), nullable=True))
    _extend_jobs()
    _create_batches()
    _create_credits()
    _create_run_times()


def _extend_jobs() -> None:
    for column in (
        sa.Column("price", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("price_basis", sa.Text(), nullable=True),
        sa.Column("expected_s", sa.Float(), nullable=True),
        sa.Column("expires_at", _MOMENT, nullable=True),
        sa.Column("batch_id", _ID, nullable=True),
        sa.Column("batch_index", sa.Integer(), nullable=True),
        sa.Column("graph", sa.Text(), nullable=True),
    ):
        op.add_column("jobs", column)
    _partial_index("ix_jobs_batch", "jobs", ["batch_id", "batch_index"], "batch_id IS NOT NULL")
    _partial_index("ix_jobs_running", "jobs", ["account_id"], _RUNNING)
    _partial_index("ix_jobs_expiry", "jobs", ["expires_at"], "state = 'queued' AND expires_at IS NOT NULL")


def _create_batches() -> None:
    op.create_table(
        "batches",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("id", _ID, nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("preset_id", sa.String(length=100), nullable=False),
        sa.Column("preset_version", sa.String(length=50), nullable=False),
        sa.Column("price", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("completed", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("cancelled", sa.Integer(), nullable=False),
        sa.Column("expired", sa.Integer(), nullable=False),
        sa.Column("retry_of", _ID, nullable=True),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("finished_at", _MOMENT, nullable=True),
        sa.CheckConstraint(
            "completed + failed + cancelled + expired <= total", name=op.f("ck_batches_counts")
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_batches_account_id")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_batches")),
        sa.UniqueConstraint("id", name=op.f("uq_batches_id")),
    )
    op.create_index("ix_batches_account", "batches", ["account_id", "number"])


def _create_credits() -> None:
    op.create_table(
        "credit_balances",
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("granted", sa.Integer(), nullable=False),
        sa.Column("topped_up", sa.Integer(), nullable=False),
        sa.Column("reserved", sa.Integer(), nullable=False),
        sa.Column("from_grant", sa.Integer(), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("jobs", sa.Integer(), nullable=False),
        sa.CheckConstraint("granted >= 0", name=op.f("ck_credit_balances_granted")),
        sa.CheckConstraint("topped_up >= 0", name=op.f("ck_credit_balances_topped_up")),
        sa.CheckConstraint("reserved >= 0", name=op.f("ck_credit_balances_reserved")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_credit_balances_account_id")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_credit_balances")),
    )
    op.create_table(
        "credit_entries",
        sa.Column("id", _NUMBER, nullable=False),
        sa.Column("account_id", _ID, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("granted", sa.Integer(), nullable=False),
        sa.Column("topped_up", sa.Integer(), nullable=False),
        sa.Column("reserved", sa.Integer(), nullable=False),
        sa.Column("period", sa.String(length=7), nullable=False),
        sa.Column("job_id", _ID, nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_credit_entries_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_entries")),
    )
    op.create_index("ix_credit_entries_account", "credit_entries", ["account_id", "id"])
    _partial_index("uq_credit_entries_reserve", "credit_entries", ["job_id"], "kind = 'reserve'", unique=True)
    _partial_index(
        "uq_credit_entries_settlement",
        "credit_entries",
        ["job_id"],
        "kind IN ('capture', 'release')",
        unique=True,
    )
    _partial_index(
        "uq_credit_entries_grant", "credit_entries", ["account_id", "period"], "kind = 'grant'", unique=True
    )
    _partial_index("uq_credit_entries_refund", "credit_entries", ["job_id"], "kind = 'adjust'", unique=True)
    _forbid_rewriting()


def _forbid_rewriting() -> None:
    """Entries are written once and never changed, whoever asks."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE TRIGGER credit_entries_kept BEFORE UPDATE ON credit_entries "
            "BEGIN SELECT RAISE(ABORT, 'credit entries are never changed'); END"
        )
        return
    op.execute(
        "CREATE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'credit entries are never changed'; END $$"
    )
    op.execute(
        "CREATE TRIGGER credit_entries_kept BEFORE UPDATE ON credit_entries FOR EACH ROW "
        "EXECUTE FUNCTION refuse_rewriting()"
    )


def _create_run_times() -> None:
    op.create_table(
        "run_times",
        sa.Column("id", _NUMBER, nullable=False),
        sa.Column("preset_id", sa.String(length=100), nullable=False),
        sa.Column("preset_version", sa.String(length=50), nullable=False),
        sa.Column("server_class", sa.String(length=100), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run_times")),
    )
    op.create_index("ix_run_times_preset", "run_times", ["preset_id", "preset_version", "id"])
    op.create_index("ix_run_times_at", "run_times", ["at"])


def _partial_index(
    name: str, table: str, columns: list[str], condition: str, *, unique: bool = False
) -> None:
    """As either database is told."""
    where = sa.text(condition)
    op.create_index(name, table, columns, unique=unique, postgresql_where=where, sqlite_where=where)
