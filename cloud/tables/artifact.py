"""Stored files of an account, by digest."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, Table, Text, text
from sqlmodel import Field, SQLModel

from cloud.tables.base import METADATA
from cloud.tables.types import Moment

__all__ = ["ARTIFACTS"]


_CONDEMNED = text("condemned_at IS NOT NULL")


class ArtifactRow(SQLModel, table=True):
    """`touched_at` is when somebody last sent it, asked for its upload, or used it in a job. A
    condemned artifact goes unless it is touched in time; one that is being deleted is as good as gone,
    and its row only holds its place until its bytes are.
    """

    __tablename__ = "artifacts"
    __table_args__ = (
        Index("ix_artifacts_touched", "touched_at"),
        Index("ix_artifacts_condemned", "condemned_at", postgresql_where=_CONDEMNED, sqlite_where=_CONDEMNED),
    )
    account_id: str = Field(primary_key=True, foreign_key="accounts.id", max_length=36)
    digest: str = Field(primary_key=True, max_length=64)
    state: str = Field(max_length=20)
    bytes: int = Field(sa_type=BigInteger)
    media_type: str | None = Field(max_length=100, default=None)
    width: int | None = None
    height: int | None = None
    problem_code: str | None = Field(max_length=50, default=None)
    problem_message: str | None = Field(sa_type=Text, default=None)
    created_at: datetime = Field(sa_type=Moment)
    ready_at: datetime | None = Field(sa_type=Moment, default=None)
    derived_from: str | None = Field(max_length=64, default=None)
    touched_at: datetime | None = Field(sa_type=Moment, default=None)
    condemned_at: datetime | None = Field(sa_type=Moment, default=None)
    deleting_at: datetime | None = Field(sa_type=Moment, default=None)


ARTIFACTS: Table = METADATA.tables["artifacts"]
