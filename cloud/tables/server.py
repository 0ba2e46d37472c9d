"""GPU servers, and the worker processes that lead them."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Table, Text
from sqlmodel import Field, SQLModel

from cloud.tables.base import METADATA
from cloud.tables.types import JsonText, Moment

__all__ = ["SERVERS", "WORKERS"]


class ServerRow(SQLModel, table=True):
    """What the operator said of a server, what it says itself, how it fares, and who leads it.

    `credential` is sealed. `said_at` is when it told what it can run, `seen_at` when it answered
    last. One worker leads a server at a time, until `lead_until` unless it renews that.
    `preset` is the one whose models it holds, `switches` the measured times of changing to each.
    """

    __tablename__ = "servers"
    id: str = Field(primary_key=True, max_length=36)
    name: str = Field(unique=True, max_length=50)
    url: str = Field(unique=True, max_length=500)
    credential: str | None = Field(sa_type=Text, default=None)
    pool: str = Field(max_length=50)
    capacity: int
    labels: Any = Field(sa_type=JsonText)
    state: str = Field(max_length=20)
    created_at: datetime = Field(sa_type=Moment)

    version: str | None = Field(sa_type=Text, default=None)
    device: str | None = Field(sa_type=Text, default=None)
    memory_bytes: int | None = Field(sa_type=BigInteger, default=None)
    memory_free_bytes: int | None = Field(sa_type=BigInteger, default=None)
    queue_length: int | None = None
    capabilities: Any = Field(sa_type=JsonText)
    said_at: datetime | None = Field(sa_type=Moment, default=None)
    seen_at: datetime | None = Field(sa_type=Moment, default=None)

    breaker: str = Field(max_length=20)
    failures: int
    openings: int
    opened_at: datetime | None = Field(sa_type=Moment, default=None)
    retry_at: datetime | None = Field(sa_type=Moment, default=None)
    trouble: str | None = Field(sa_type=Text, default=None)

    led_by: str | None = Field(max_length=100, default=None)
    lead_until: datetime | None = Field(sa_type=Moment, default=None)

    preset: str | None = Field(max_length=100, default=None)
    preset_since: datetime | None = Field(sa_type=Moment, default=None)
    switches: Any = Field(sa_type=JsonText)


class WorkerRow(SQLModel, table=True):
    """A worker process that lives, as of `seen_at`."""

    __tablename__ = "workers"
    name: str = Field(primary_key=True, max_length=100)
    started_at: datetime = Field(sa_type=Moment)
    seen_at: datetime = Field(sa_type=Moment)


SERVERS: Table = METADATA.tables["servers"]
WORKERS: Table = METADATA.tables["workers"]
