"""How a job ended, as the event that says so."""

from dataclasses import replace
from datetime import datetime

from desktop.store.job import Delivery, Job
from shared.jobs.events import Cancelled, Completed, Expired, Failed, TerminalEvent
from shared.jobs.state import JobState

__all__ = ["ending_of"]


def ending_of(job: Job) -> TerminalEvent | None:
    """None while the job is open."""
    attempt, at = max(job.attempt, 1), job.finished_at or job.created_at
    match job.state:
        case JobState.COMPLETED:
            return _completed(job, at)
        case JobState.FAILED if job.error is not None:
            return Failed(
                job_id=job.id,
                attempt=attempt,
                at=at,
                code=job.error.code,
                message=job.error.message,
                retryable=job.error.retryable,
            )
        case JobState.CANCELLED:
            return Cancelled(job_id=job.id, attempt=attempt, at=at)
        case JobState.EXPIRED:
            return Expired(job_id=job.id, attempt=attempt, at=at)
        case _:
            return None


def _completed(job: Job, at: datetime) -> Completed:
    """Delivered files with their paths; all outputs, without a path, while they cannot be delivered."""
    if job.delivery is Delivery.DELIVERED:
        outputs = tuple(
            replace(item.output, path=str(item.path)) for item in job.outputs if item.path is not None
        )
    else:
        outputs = tuple(item.output for item in job.outputs)
    return Completed(job_id=job.id, attempt=job.attempt, at=at, outputs=outputs)
