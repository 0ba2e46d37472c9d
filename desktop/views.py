"""What the window shows and what it may ask for: plain values, light to import.

The runtime implements `Core`; the window knows nothing else of it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from shared.errors import JsonValue
from shared.jobs.state import JobState
from shared.legible import legible
from shared.presets.parameter import Parameter

__all__ = [
    "Core",
    "CoreUpdate",
    "DevelopRequest",
    "EngineView",
    "JobPreview",
    "JobView",
    "PresetView",
    "ScreenPicture",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetView:
    """A preset in the gallery. `unavailable` says in one sentence why it cannot run now."""

    id: str
    version: str
    name: str
    summary: str
    category: str
    tags: tuple[str, ...]
    licence: str
    instant: bool
    cover: Path
    before: Path
    after: Path
    parameters: tuple[Parameter, ...]
    unavailable: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineView:
    name: str
    reachable: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DevelopRequest:
    """Each file of `paths` (folders are walked) becomes one job."""

    paths: tuple[Path, ...]
    preset_id: str
    values: Mapping[str, JsonValue] = field(default_factory=dict)
    out: Path | None = None  # None: the output folder of the settings
    engine: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A row of the queue. `fraction` is 0 to 1; `outputs` are delivered files only.

    `step` of `steps` is where a sampler is.

    `waits_for` is the sentence that says why it cannot begin yet.
    """

    id: str
    source: Path
    preset_id: str
    preset_name: str
    state: JobState
    created_at: datetime
    engine: str | None = None
    stage: str | None = None
    fraction: float = 0.0
    step: int | None = None
    steps: int | None = None
    eta_s: float | None = None
    waits_for: str | None = None
    outputs: tuple[Path, ...] = ()
    error: str | None = None  # a sentence for the user, with what to do next
    retryable: bool = False

    @property
    def source_name(self) -> str:
        return legible(self.source.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenPicture:
    """A picture decoded for the screen: upright rows of RGB or RGBA bytes, and the file's own size."""

    width: int
    height: int
    full_width: int
    full_height: int
    alpha: bool
    data: bytes
    icc: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPreview:
    """An encoded picture of a job in progress."""

    job_id: str
    media_type: str
    data: bytes


CoreUpdate = JobView | JobPreview


class Core(Protocol):
    """What the window may ask of the runtime. Every coroutine runs on the core's loop."""

    async def shelf(self) -> tuple[PresetView, ...]:
        """The presets at once, before it is known which servers answer."""
        ...

    async def presets(self) -> tuple[PresetView, ...]:
        """The presets, and which of them can run now; waits for servers to answer."""
        ...

    async def engines(self) -> tuple[EngineView, ...]: ...

    async def jobs(self, limit: int = 500) -> tuple[JobView, ...]:
        """Newest first."""
        ...

    async def develop(self, request: DevelopRequest) -> tuple[str, ...]:
        """Journal one job per file and return their ids. Raises UsageError (field, file)."""
        ...

    async def cancel(self, job_id: str) -> None: ...

    async def retry(self, job_id: str) -> str:
        """Journal a new job with `retry_of` and return its id."""
        ...

    def subscribe(self, listener: Callable[[CoreUpdate], None]) -> Callable[[], None]:
        """Call `listener` on the core's loop for each change; returns the unsubscribe function."""
        ...
