"""Lasting events: the outbox that the publisher empties, and the record that streams replay."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, Table, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from cloud.tables.base import METADATA
from cloud.tables.types import Moment, RowNumber

__all__ = ["EVENTS"]

_UNPUBLISHED = text("published_at IS NULL")


class EventRow(SQLModel, table=True):
    """`number` counts within the account and is given after commit; `body` is the event as JSON."""

    __tablename__ = "events"
    __table_args__ = (
        UniqueConstraint("account_id", "number"),
        Index("ix_events_unpublished", "id", postgresql_where=_UNPUBLISHED, sqlite_where=_UNPUBLISHED),
        Index("ix_events_job", "job_id", "id"),
        Index("ix_events_at", "at"),
    )
    id: int = Field(primary_key=True, sa_type=RowNumber)
    account_id: str = Field(foreign_key="accounts.id", max_length=36)
    job_id: str = Field(foreign_key="jobs.id", max_length=36)
    kind: str = Field(max_length=20)
    body: str = Field(sa_type=Text)
    at: datetime = Field(sa_type=Moment)
    number: int | None = Field(sa_type=BigInteger, default=None)
    published_at: datetime | None = Field(sa_type=Moment, default=None)


EVENTS: Table = METADATA.tables["events"]
