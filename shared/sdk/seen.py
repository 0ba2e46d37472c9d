"""What the state of a job says about the events that led to it."""

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
    Preview,
    Progress,
    Stage,
    StageName,
    Started,
)
from shared.jobs.state import JobState, is_terminal

__all__ = ["Seen"]

_ENGINE = "cloud"


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
            case Progress() | Preview() if event.attempt != self.attempt:
                return False  # it came by a shorter way than the start of its attempt
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
            events.append(Started(job_id=job.id, attempt=job.attempt, at=job.started_at, engine=_ENGINE))
            if job.stage is not None and not is_terminal(job.state):
                events.append(Stage(job_id=job.id, attempt=job.attempt, at=job.started_at, name=job.stage))
        if (end := _end_of(job)) is not None:
            events.append(end)
        return tuple(event for event in events if self.admits(event))


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
