"""Links by which an account shows one of its artifacts to whoever has the link."""

from datetime import datetime

from sqlalchemy import Index, Table, Text
from sqlmodel import Field, SQLModel

from cloud.tables.base import METADATA
from cloud.tables.types import Moment, RowNumber

__all__ = ["SHARES"]


class ShareRow(SQLModel, table=True):
    """`digest` is a copy without metadata of `source`. The link's token is kept as its SHA-256 alone."""

    __tablename__ = "shares"
    __table_args__ = (Index("ix_shares_artifact", "account_id", "digest"),)
    number: int = Field(primary_key=True, sa_type=RowNumber)
    id: str = Field(unique=True, max_length=36)
    account_id: str = Field(foreign_key="accounts.id", max_length=36)
    digest: str = Field(max_length=64)
    source: str = Field(max_length=64)
    name: str = Field(sa_type=Text)
    token_digest: str = Field(unique=True, max_length=64)
    created_at: datetime = Field(sa_type=Moment)
    expires_at: datetime = Field(sa_type=Moment)
    revoked_at: datetime | None = Field(sa_type=Moment, default=None)


SHARES: Table = METADATA.tables["shares"]
