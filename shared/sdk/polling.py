"""What the state of a job says about the events that led to it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import assert_never

from shared.api.jobs import Job, JobOutput
from shared.jobs.events import (
    Cancelled,
    Completed,
    Expired,
    Failed,
    JobEvent,
    Output,
    Progress,
    Stage,
    StageName,
    Started,
)
from shared.jobs.state import JobState, is_terminal

__all__ = ["Pauses", "Seen", "poll_job"]

CLOUD = "cloud"
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 3.0


class Pauses:
    """Seconds between two questions: ever more while nothing changes."""

    def __init__(self) -> None:
        self._next_s = _FIRST_PAUSE_S

    def next_s(self) -> float:
        pause_s, self._next_s = self._next_s, min(self._next_s * 1.5, _LONGEST_PAUSE_S)
        return pause_s

    def begin_anew(self) -> None:
        self._next_s = _FIRST_PAUSE_S


@dataclass(slots=True)
class Seen:
    """What a follower of one job has already been told, so that nothing is told twice."""

    attempt: int = 0
    stage: StageName | None = None
    fraction: float = 0.0

    def admits(self, event: JobEvent) -> bool:
        """Record the event; False if it says nothing new."""
        match event:
            case Started():
                if event.attempt <= self.attempt:
                    return False
                self.attempt, self.stage, self.fraction = event.attempt, None, 0.0
            case Stage():
                if (event.attempt, event.name) == (self.attempt, self.stage):
                    return False
                self.stage = event.name
            case Progress():
                if event.fraction < self.fraction:
                    return False
                self.fraction = event.fraction
            case _:
                pass
        return True

    def events_of(self, job: Job) -> tuple[JobEvent, ...]:
        """The events that are new, as far as the job's state tells them."""
        events: list[JobEvent] = []
        if job.attempt and job.started_at is not None:
            events.append(Started(job_id=job.id, attempt=job.attempt, at=job.started_at, engine=CLOUD))
            if job.stage is not None and not is_terminal(job.state):
                events.append(Stage(job_id=job.id, attempt=job.attempt, at=job.started_at, name=job.stage))
        if (end := _end_of(job)) is not None:
            events.append(end)
        return tuple(event for event in events if self.admits(event))


def poll_job(get_job: Callable[[str], Job], job_id: str) -> Iterator[Job]:
    """The job each time it has changed, until it has ended; asks ever less often while nothing changes."""
    pauses = Pauses()
    last: Job | None = None
    while last is None or not is_terminal(last.state):
        job = get_job(job_id)
        if last is None or (job.state, job.stage, job.attempt) != (last.state, last.stage, last.attempt):
            yield job
            pauses.begin_anew()
        last = job
        if not is_terminal(job.state):
            time.sleep(pauses.next_s())


def _end_of(job: Job) -> JobEvent | None:
    attempt, at = max(job.attempt, 1), job.finished_at or job.created_at
    match job.state:
        case JobState.QUEUED | JobState.PROCESSING | JobState.SAVING:
            return None
        case JobState.COMPLETED:
            outputs = tuple(_output(output) for output in job.outputs)
            return Completed(job_id=job.id, attempt=attempt, at=at, outputs=outputs)
        case JobState.FAILED:
            failure = job.failure
            return Failed(
                job_id=job.id,
                attempt=attempt,
                at=at,
                code=failure.code if failure else "failed",
                message=failure.message if failure else "the job failed in the cloud",
                retryable=failure.retryable if failure else False,
            )
        case JobState.CANCELLED:
            return Cancelled(job_id=job.id, attempt=attempt, at=at)
        case JobState.EXPIRED:
            return Expired(job_id=job.id, attempt=attempt, at=at)
        case _:
            assert_never(job.state)


def _output(output: JobOutput) -> Output:
    return Output(
        node=output.node,
        index=output.index,
        kind=output.kind,
        name=output.name,
        media_type=output.media_type,
        bytes=output.bytes,
        digest=output.digest,
        width=output.width,
        height=output.height,
    )
