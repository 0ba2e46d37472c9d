"""Batches on the wire: many inputs, one preset."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from shared.api.jobs import JobInput, JobName, PresetId, Priority
from shared.api.numbers import Whole
from shared.api.servers import ServerLabels

__all__ = ["Batch", "BatchAccepted", "BatchItem", "BatchPage", "BatchRequest"]

_MOST_JOBS = 1000


class BatchItem(BaseModel):
    """One job of the batch; its `values` go before those of the batch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: Annotated[dict[str, Annotated[list[JobInput], Field(max_length=64)]], Field(max_length=16)]
    values: Annotated[dict[str, JsonValue], Field(max_length=256)] = {}


class BatchRequest(BaseModel):
    """One preset on each of the items: all are taken, or none. `max_price` is that of one job, and
    `labels` are asked of the server of each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: PresetId
    preset_version: Annotated[str, Field(max_length=50)] | None = None
    items: Annotated[list[BatchItem], Field(min_length=1, max_length=_MOST_JOBS)]
    values: Annotated[dict[str, JsonValue], Field(max_length=256)] = {}
    name: JobName | None = None
    priority: Priority = Priority.NORMAL
    expires_in_s: Annotated[Whole, Field(ge=1, le=30 * 24 * 3600)] | None = None
    max_price: Annotated[Whole, Field(ge=0, le=2**31 - 1)] | None = None
    labels: Annotated[ServerLabels, Field(max_length=8)] = {}


class BatchAccepted(BaseModel):
    """`jobs` are the ids of the jobs, in the order of the items; `price` is that of all of them."""

    model_config = ConfigDict(frozen=True)

    id: str
    total: int
    price: int
    jobs: list[str]
    status_url: str
    jobs_url: str


class Batch(BaseModel):
    """`remaining` jobs have not ended; with the last one, `finished_at` is set and the event
    `batch_completed` comes, once. `retry_of` is the batch whose failed jobs these are anew."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str | None
    preset: str
    preset_version: str
    price: int
    total: int
    remaining: int
    completed: int
    failed: int
    cancelled: int
    expired: int
    retry_of: str | None
    created_at: datetime
    finished_at: datetime | None
    status_url: str
    jobs_url: str


class BatchPage(BaseModel):
    """Newest first. `next_cursor` asks for the page after this one; None at the end."""

    model_config = ConfigDict(frozen=True)

    batches: list[Batch]
    next_cursor: str | None
