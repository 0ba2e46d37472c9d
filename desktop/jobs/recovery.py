"""What is to be done next with a job that the journal holds, also one that a dead process left."""

from enum import StrEnum
from typing import assert_never

from desktop.store.job import Delivery, Job
from shared.jobs.state import JobState

__all__ = ["MAX_ATTEMPTS", "NextStep", "may_run_again", "next_step"]

MAX_ATTEMPTS = 3


class NextStep(StrEnum):
    PREPARE = "prepare"
    FOLLOW = "follow"  # its run may be under way, over, or never begun
    DELIVER = "deliver"
    CLEAR_UP = "clear_up"  # it has ended, and its files and its run's files are to be removed
    NONE = "none"


def next_step(job: Job) -> NextStep:
    match job.state:
        case JobState.QUEUED:
            return NextStep.PREPARE
        case JobState.PROCESSING:
            return NextStep.FOLLOW
        case JobState.SAVING:
            return NextStep.DELIVER
        case JobState.COMPLETED:
            waits = job.delivery in {Delivery.PENDING, Delivery.BLOCKED}
            return NextStep.DELIVER if waits else _after_its_end(job)
        case JobState.FAILED | JobState.CANCELLED | JobState.EXPIRED:
            return _after_its_end(job)
        case _:
            assert_never(job.state)


def _after_its_end(job: Job) -> NextStep:
    return NextStep.NONE if job.ticket is None else NextStep.CLEAR_UP


def may_run_again(job: Job) -> bool:
    """Whether a lost run may be started once more."""
    return job.attempt < MAX_ATTEMPTS
