"""What each seat of each worker can run, as it last said."""

from datetime import datetime
from typing import Any

from sqlalchemy import Table, Text
from sqlmodel import Field, SQLModel

from cloud.tables.base import METADATA
from cloud.tables.types import JsonText, Moment

__all__ = ["SEATS"]


class SeatRow(SQLModel, table=True):
    """One row for each pool of a seat. `capabilities` is null while its engine does not answer."""

    __tablename__ = "seats"
    worker: str = Field(primary_key=True, max_length=100)
    seat: str = Field(primary_key=True, sa_type=Text)
    pool: str = Field(primary_key=True, max_length=50)
    capabilities: Any = Field(sa_type=JsonText)
    seen_at: datetime = Field(sa_type=Moment)


SEATS: Table = METADATA.tables["seats"]
