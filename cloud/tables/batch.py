"""Batches: many inputs for one preset, counted as their jobs end."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, Table, Text
from sqlmodel import Field, SQLModel

from cloud.tables.base import METADATA
from cloud.tables.types import Moment, RowNumber

__all__ = ["BATCHES"]


class BatchRow(SQLModel, table=True):
    """`number` orders the batches. The counts change in the transaction that ends a job, so that
    exactly one of them sees the last."""

    __tablename__ = "batches"
    __table_args__ = (
        CheckConstraint("completed + failed + cancelled + expired <= total", name="counts"),
        Index("ix_batches_account", "account_id", "number"),
    )
    number: int = Field(primary_key=True, sa_type=RowNumber)
    id: str = Field(unique=True, max_length=36)
    account_id: str = Field(foreign_key="accounts.id", max_length=36)
    name: str | None = Field(sa_type=Text, default=None)
    preset_id: str = Field(max_length=100)
    preset_version: str = Field(max_length=50)
    price: int
    total: int
    completed: int
    failed: int
    cancelled: int
    expired: int
    retry_of: str | None = Field(max_length=36, default=None)
    created_at: datetime = Field(sa_type=Moment)
    finished_at: datetime | None = Field(sa_type=Moment, default=None)


BATCHES: Table = METADATA.tables["batches"]
