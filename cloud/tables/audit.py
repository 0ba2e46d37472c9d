"""What operators did, for good."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, Table, Text
from sqlmodel import Field, SQLModel

from cloud.tables.base import METADATA
from cloud.tables.types import JsonText, Moment, RowNumber

__all__ = ["AUDIT_ENTRIES"]


class AuditEntryRow(SQLModel, table=True):
    """`actor` is the id of a key, or `command line`; `details` hold no secrets."""

    __tablename__ = "audit_entries"
    __table_args__ = (Index("ix_audit_entries_at", "at"),)
    id: int = Field(primary_key=True, sa_type=RowNumber)
    at: datetime = Field(sa_type=Moment)
    actor: str = Field(max_length=100)
    action: str = Field(max_length=50)
    subject: str = Field(sa_type=Text)
    details: Any = Field(sa_type=JsonText)
    request_id: str | None = Field(max_length=128, default=None)


AUDIT_ENTRIES: Table = METADATA.tables["audit_entries"]
