"""What a row of the queue says about its job."""

from dataclasses import dataclass

from PySide6.QtGui import QColor

from desktop.ui import messages
from desktop.ui.theme import Ink
from desktop.views import JobView
from shared.jobs.state import JobState

__all__ = ["Status", "status_of"]


@dataclass(frozen=True, slots=True)
class Status:
    """`sign` tells the state by shape; `fraction` is None where no bar is drawn; a sentence `wraps`.

    `more` is said where there is room for it.
    """

    text: str
    sign: str
    ink: QColor
    fraction: float | None = None
    more: str = ""
    wraps: bool = False


def status_of(job: JobView) -> Status:
    match job.state:
        case JobState.QUEUED | JobState.PROCESSING if job.waits_for is not None:
            return Status(messages.sentence(job.waits_for), "clock", Ink.SOFT, wraps=True)
        case JobState.QUEUED:
            return Status(messages.job_state(job.state), "clock", Ink.SOFT)
        case JobState.PROCESSING | JobState.SAVING:
            more = "" if job.eta_s is None else messages.eta(job.eta_s)
            return Status(_working(job), "", Ink.TEXT, job.fraction, more)
        case JobState.COMPLETED if job.error is None:
            return Status(messages.job_state(job.state), "check", Ink.AMBER)
        case JobState.COMPLETED | JobState.FAILED | JobState.EXPIRED:
            said = messages.sentence(job.error or messages.job_state(job.state))
            return Status(said, "warning", Ink.TROUBLE, wraps=True)
        case JobState.CANCELLED:
            return Status(messages.job_state(job.state), "cancel", Ink.FAINT)


def _working(job: JobView) -> str:
    if job.state is JobState.SAVING or job.stage is None:
        return messages.job_state(job.state)
    if job.step is not None and job.steps is not None:
        return messages.say(messages.Text.STEP, step=job.step, steps=job.steps)
    return messages.stage(job.stage)
