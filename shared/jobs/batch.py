"""The end of a batch, as a value. Its JSON form is in shared/api/events."""

from dataclasses import dataclass
from datetime import datetime

__all__ = ["BatchCompleted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCompleted:
    """Every job of the batch has ended, `job_id` as the last, so many of them in each way."""

    batch_id: str
    job_id: str
    at: datetime  # aware, UTC
    total: int
    completed: int
    failed: int
    cancelled: int
    expired: int
