"""An account on the wire: its plan, what that allows, and what was used of it."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from shared.api.jobs import Priority

__all__ = ["Account", "Plan", "PlanLimits", "Usage"]


class Plan(StrEnum):
    FREE = "free"
    CREATOR = "creator"
    STUDIO = "studio"


class PlanLimits(BaseModel):
    """`jobs_per_month` is None where as many are taken as come. `raw_graphs` counts in whether this
    account may send them; with `server_labels` a job may choose among the servers."""

    model_config = ConfigDict(frozen=True)

    jobs_per_month: int | None
    credits_per_month: int
    concurrency: int
    max_upload_bytes: int
    max_pixels: int
    retention_s: int
    queue_time_s: int
    seats: int
    requests_per_minute: int
    priorities: list[Priority]
    raw_graphs: bool
    server_labels: bool


class Usage(BaseModel):
    """`period` is a calendar month in UTC, 2026-11."""

    model_config = ConfigDict(frozen=True)

    period: str
    period_ends_at: datetime
    jobs: int


class Account(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    plan: Plan
    limits: PlanLimits
    usage: Usage
