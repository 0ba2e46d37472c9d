"""Why something waits, in words."""

from pydantic import BaseModel, ConfigDict

from shared.jobs.state import JobState

__all__ = ["JobWaiting", "ServerWhy", "WaitingReason"]


class WaitingReason(BaseModel):
    """`code` is stable, `message` a sentence. `server` is the name of the one it speaks of."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str
    server: str | None


class JobWaiting(BaseModel):
    """Why a job is not done yet, the nearest reason first; nothing for one that runs or has ended."""

    model_config = ConfigDict(frozen=True)

    job: str
    state: JobState
    reasons: list[WaitingReason]


class ServerWhy(BaseModel):
    """Why a server has nothing to do, or not more than it has; empty if nothing is in its way."""

    model_config = ConfigDict(frozen=True)

    server: str
    reasons: list[WaitingReason]
