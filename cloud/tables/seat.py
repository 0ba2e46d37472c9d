"""What workers of the release before told of their engines; nothing of ours uses it any more."""

from datetime import datetime
from typing import Any

from sqlalchemy import Table, Text
from sqlmodel import Field, SQLModel

from cloud.tables.base import METADATA
from cloud.tables.types import JsonText, Moment

__all__ = ["SEATS"]


class SeatRow(SQLModel, table=True):
    """Stays until no worker of that release can run beside ours, since such a one writes it."""

    __tablename__ = "seats"
    worker: str = Field(primary_key=True, max_length=100)
    seat: str = Field(primary_key=True, sa_type=Text)
    pool: str = Field(primary_key=True, max_length=50)
    capabilities: Any = Field(sa_type=JsonText)
    seen_at: datetime = Field(sa_type=Moment)


SEATS: Table = METADATA.tables["seats"]
