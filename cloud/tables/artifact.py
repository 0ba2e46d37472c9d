"""Stored files of an account, by digest."""

from datetime import datetime

from sqlalchemy import BigInteger, Table, Text
from sqlmodel import Field, SQLModel

from cloud.tables.base import METADATA
from cloud.tables.types import Moment

__all__ = ["ARTIFACTS"]


class ArtifactRow(SQLModel, table=True):
    __tablename__ = "artifacts"
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


ARTIFACTS: Table = METADATA.tables["artifacts"]
