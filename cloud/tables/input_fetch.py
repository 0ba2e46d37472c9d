"""Files that are still to be fetched from where their jobs say."""

from datetime import datetime

from sqlalchemy import Index, Table, Text
from sqlmodel import Field, SQLModel

from cloud.tables.base import METADATA
from cloud.tables.types import Moment

__all__ = ["INPUT_FETCHES"]


class InputFetchRow(SQLModel, table=True):
    """One file of one job. Its row goes when it has come; with the last of a job's, that enters its lane
    in `pool`. Whoever fetches it has it until `taken_until`, which moves on while they live."""

    __tablename__ = "input_fetches"
    __table_args__ = (Index("ix_input_fetches_due", "next_at"),)
    job_id: str = Field(primary_key=True, foreign_key="jobs.id", max_length=36)
    input: str = Field(primary_key=True, max_length=100)
    position: int = Field(primary_key=True)
    account_id: str = Field(foreign_key="accounts.id", max_length=36)
    url: str = Field(sa_type=Text)
    name: str = Field(sa_type=Text)
    pool: str = Field(max_length=50)
    tries: int = 0
    next_at: datetime = Field(sa_type=Moment)
    taken_until: datetime | None = Field(sa_type=Moment, default=None)
    problem: str | None = Field(sa_type=Text, default=None)


INPUT_FETCHES: Table = METADATA.tables["input_fetches"]
