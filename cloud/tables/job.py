"""Jobs, their attempts and outputs, and the lanes in which they wait."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, Table, Text, text
from sqlmodel import Field, SQLModel

from cloud.tables.base import METADATA
from cloud.tables.types import JsonText, Moment, RowNumber

__all__ = ["ATTEMPTS", "IDEMPOTENCY_KEYS", "JOBS", "LANES", "OUTPUTS"]

_QUEUED = text("state = 'queued'")
_RUNNING = text("state IN ('processing', 'saving')")
_SUSPECT = text("state = 'queued' AND alone")
_LEFT = text("state = 'queued' AND server IS NOT NULL")
_GIVEN_UP = text("\"end\" IN ('broken_off', 'lost', 'released') AND server IS NOT NULL")
_EXPIRING = text("state = 'queued' AND expires_at IS NOT NULL")
_IN_BATCH = text("batch_id IS NOT NULL")


class JobRow(SQLModel, table=True):
    """`number` orders the jobs. `attempt` counts claims and fences those who lost theirs.

    `crashes` are the ends of workers for which only this job can be blamed; an `alone` job must
    not share a worker, since it may be to blame. `server` has the job, or was left with a run of it;
    `avoid` is one where it failed; `hand_back_at` is since when another server would take it.
    `price` and what it rests on are fixed at submission; `graph` is there instead of a preset.
    `request_id` and `trace` (W3C's traceparent) are those of the request that submitted it.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index(
            "ix_jobs_lane", "pool", "priority", "account_id", "preset_id", "models", "queued_at", "number",
            postgresql_where=_QUEUED, sqlite_where=_QUEUED,
        ),
        Index("ix_jobs_lease", "lease_until", postgresql_where=_RUNNING, sqlite_where=_RUNNING),
        Index("ix_jobs_worker", "worker", postgresql_where=_RUNNING, sqlite_where=_RUNNING),
        Index("ix_jobs_suspect", "pool", postgresql_where=_SUSPECT, sqlite_where=_SUSPECT),
        Index("ix_jobs_left", "server", postgresql_where=_LEFT, sqlite_where=_LEFT),
        Index("ix_jobs_running", "account_id", postgresql_where=_RUNNING, sqlite_where=_RUNNING),
        Index("ix_jobs_expiry", "expires_at", postgresql_where=_EXPIRING, sqlite_where=_EXPIRING),
        Index(
            "ix_jobs_batch", "batch_id", "batch_index", postgresql_where=_IN_BATCH, sqlite_where=_IN_BATCH
        ),
        Index("ix_jobs_account", "account_id", "number"),
        Index("ix_jobs_idempotency_key", "account_id", "idempotency_key"),
    )  # fmt: skip
    number: int = Field(primary_key=True, sa_type=RowNumber)
    id: str = Field(unique=True, max_length=36)
    account_id: str = Field(foreign_key="accounts.id", max_length=36)
    pool: str = Field(max_length=50)
    priority: int
    preset_id: str = Field(max_length=100)
    preset_version: str = Field(max_length=50)
    preset_digest: str = Field(max_length=64)
    models: str = Field(sa_type=Text)
    values: Any = Field(sa_type=JsonText)
    inputs: Any = Field(sa_type=JsonText)
    idempotency_key: str | None = Field(max_length=255, default=None)
    retry_of: str | None = Field(max_length=36, default=None)
    state: str = Field(max_length=20)
    stage: str | None = Field(max_length=20, default=None)
    attempt: int = 0
    crashes: int = 0
    alone: bool = False
    worker: str | None = Field(max_length=100, default=None)
    lease_until: datetime | None = Field(sa_type=Moment, default=None)
    server: str | None = Field(max_length=50, default=None)
    avoid: str | None = Field(max_length=50, default=None)
    hand_back_at: datetime | None = Field(sa_type=Moment, default=None)
    cancel_requested_at: datetime | None = Field(sa_type=Moment, default=None)
    failure_code: str | None = Field(sa_type=Text, default=None)
    failure_message: str | None = Field(sa_type=Text, default=None)
    failure_retryable: bool | None = None
    created_at: datetime = Field(sa_type=Moment)
    queued_at: datetime = Field(sa_type=Moment)
    started_at: datetime | None = Field(sa_type=Moment, default=None)
    finished_at: datetime | None = Field(sa_type=Moment, default=None)
    price: int = 0
    price_basis: str | None = Field(sa_type=Text, default=None)
    expected_s: float | None = None
    expires_at: datetime | None = Field(sa_type=Moment, default=None)
    batch_id: str | None = Field(max_length=36, default=None)
    batch_index: int | None = None
    graph: str | None = Field(sa_type=Text, default=None)
    request_id: str | None = Field(max_length=128, default=None)
    trace: str | None = Field(max_length=55, default=None)


class AttemptRow(SQLModel, table=True):
    """`begun_at` is when execution began; `end` says how it ended, and `reason` why it came to nothing.

    `server_class` tells servers apart whose runs take equally long.
    """

    __tablename__ = "attempts"
    __table_args__ = (
        Index("ix_attempts_worker", "worker"),
        Index(
            "ix_attempts_given_up", "server", "ended_at", postgresql_where=_GIVEN_UP, sqlite_where=_GIVEN_UP
        ),
    )
    job_id: str = Field(primary_key=True, foreign_key="jobs.id", max_length=36)
    attempt: int = Field(primary_key=True)
    worker: str = Field(max_length=100)
    engine: str | None = Field(max_length=50, default=None)
    server: str | None = Field(sa_type=Text, default=None)
    ticket: str | None = Field(sa_type=Text, default=None)
    claimed_at: datetime = Field(sa_type=Moment)
    begun_at: datetime | None = Field(sa_type=Moment, default=None)
    ended_at: datetime | None = Field(sa_type=Moment, default=None)
    end: str | None = Field(max_length=20, default=None)
    reason: str | None = Field(max_length=50, default=None)
    server_class: str | None = Field(max_length=100, default=None)
    engine_version: str | None = Field(max_length=100, default=None)


class OutputRow(SQLModel, table=True):
    __tablename__ = "outputs"
    job_id: str = Field(primary_key=True, foreign_key="jobs.id", max_length=36)
    position: int = Field(primary_key=True)
    attempt: int
    node: str = Field(sa_type=Text)
    index: int
    kind: str = Field(max_length=20)
    name: str = Field(sa_type=Text)
    media_type: str = Field(max_length=100)
    bytes: int = Field(sa_type=BigInteger)
    digest: str = Field(max_length=64)
    width: int | None = None
    height: int | None = None
    recipe: str | None = Field(sa_type=Text, default=None)


class LaneRow(SQLModel, table=True):
    """How many jobs of one account and preset, with the same `models`, wait for one pool, and since
    when the first does.

    `waiting` changes by one in the transaction that changes the job, so that the row goes exactly
    when its last job does.
    """

    __tablename__ = "lanes"
    pool: str = Field(primary_key=True, max_length=50)
    priority: int = Field(primary_key=True)
    account_id: str = Field(primary_key=True, foreign_key="accounts.id", max_length=36)
    preset_id: str = Field(primary_key=True, max_length=100)
    models: str = Field(primary_key=True, sa_type=Text)
    waiting: int
    oldest_at: datetime = Field(sa_type=Moment)


class IdempotencyKeyRow(SQLModel, table=True):
    """`answer` is the body of the 202, word for word."""

    __tablename__ = "idempotency_keys"
    account_id: str = Field(primary_key=True, foreign_key="accounts.id", max_length=36)
    key: str = Field(primary_key=True, max_length=255)
    request_digest: str = Field(max_length=64)
    answer: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=Moment)


JOBS: Table = METADATA.tables["jobs"]
ATTEMPTS: Table = METADATA.tables["attempts"]
OUTPUTS: Table = METADATA.tables["outputs"]
LANES: Table = METADATA.tables["lanes"]
IDEMPOTENCY_KEYS: Table = METADATA.tables["idempotency_keys"]
