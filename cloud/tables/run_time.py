"""How long completed runs took, by preset and class of server: what prices are measured from."""

from datetime import datetime

from sqlalchemy import Index, Table
from sqlmodel import Field, SQLModel

from cloud.tables.base import METADATA
from cloud.tables.types import Moment, RowNumber

__all__ = ["RUN_TIMES"]


class RunTimeRow(SQLModel, table=True):
    __tablename__ = "run_times"
    __table_args__ = (
        Index("ix_run_times_preset", "preset_id", "preset_version", "id"),
        Index("ix_run_times_at", "at"),
    )
    id: int = Field(primary_key=True, sa_type=RowNumber)
    preset_id: str = Field(max_length=100)
    preset_version: str = Field(max_length=50)
    server_class: str = Field(max_length=100)
    seconds: float
    at: datetime = Field(sa_type=Moment)


RUN_TIMES: Table = METADATA.tables["run_times"]
