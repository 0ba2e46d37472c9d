"""What happens to a job, as values. Their one JSON form is in shared/api/events."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.jobs.stage import StageName

__all__ = [
    "Cancelled",
    "Completed",
    "Expired",
    "Failed",
    "JobEvent",
    "Output",
    "OutputKind",
    "Preview",
    "Progress",
    "Queued",
    "Requeued",
    "Stage",
    "StageName",
    "Started",
    "TerminalEvent",
]


class OutputKind(StrEnum):
    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    TEXT = "text"
    FILE = "file"  # latents, 3d and whatever else custom nodes save
    PREVIEW = "preview"  # what the engine marks as temporary


@dataclass(frozen=True, slots=True)
class Output:
    """One finished file of a run, in the server's order: `index` counts within its node.

    `name` is a safe base name suggested by the engine, never a path; `bytes` the file's size;
    `digest` its SHA-256; `width`/`height` in pixels where it is a picture. `path` is set once
    the file has been delivered, and stays None before and on the wire of the cloud.
    """

    node: str
    index: int
    kind: OutputKind
    name: str
    media_type: str
    bytes: int
    digest: str
    width: int | None = None
    height: int | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    job_id: str
    attempt: int  # 1 for the first try
    at: datetime  # aware, UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued(_Event):
    position: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(_Event):
    engine: str
    server: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Requeued(_Event):
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage(_Event):
    name: StageName


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(_Event):
    """`fraction` of the whole run, 0 to 1, never falling within an attempt."""

    fraction: float
    eta_s: float | None = None
    node: str | None = None
    step: int | None = None
    steps: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview(_Event):
    """An encoded picture of the work in progress; sizes in pixels, None when not known."""

    media_type: str
    data: bytes
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed(_Event):
    outputs: tuple[Output, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(_Event):
    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled(_Event):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired(_Event):
    pass


TerminalEvent = Completed | Failed | Cancelled | Expired
JobEvent = Queued | Started | Requeued | Stage | Progress | Preview | TerminalEvent
