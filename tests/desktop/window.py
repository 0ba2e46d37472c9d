"""What the window's tests show: a session, presets and jobs built in view, and a core that obeys the test."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from PySide6.QtGui import QColor, QImage

from desktop.state.form import FormRules
from desktop.state.pictures import Pictures
from desktop.state.remembered import Remembered
from desktop.state.run_progress import RunProgress
from desktop.state.session import Session
from desktop.state.sources import PictureFinder, Sources
from desktop.state.thumbnail_store import ThumbnailStore
from desktop.views import CoreUpdate, DevelopRequest, EngineView, JobView, PresetView
from shared.errors import UsageError
from shared.jobs.state import JobState
from shared.presets.parameter import Parameter, ParameterType
from shared.presets.values import check_value, is_visible

__all__ = ["FINDER", "GLOW", "RULES", "ScriptedCore", "a_job", "a_picture", "a_preset", "a_session", "opened"]

RULES = FormRules(check_value, is_visible)
_FIRST = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

GLOW = Parameter(
    id="glow",
    type=ParameterType.INT,
    label="Glow",
    help="How strongly the bright parts bloom.",
    default=50,
    min=0,
    max=100,
    step=1,
    unit="%",
)


def _find(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(path.rglob("*.png"))
    if path.suffix != ".png":
        raise UsageError(f"{path.name} is not a picture that Safelight reads")
    return [path]


FINDER = PictureFinder(frozenset({".png"}), _find)


def a_session(folder: Path, clock: Callable[[], float] = lambda: 0.0) -> Session:
    return Session(
        remembered=Remembered(file=folder / "window.ini"),
        sources=Sources(paste_folder=folder / "pasted", name_paste=lambda: "pasted.png"),
        pictures=Pictures(thumbnails=ThumbnailStore(folder / "thumbnails")),
        progress=RunProgress(clock=clock),
    )


def opened(session: Session, *presets: PresetView) -> Session:
    """The session as it is once the core is there."""
    session.open(default_out=Path("/pictures/out"), rules=RULES, finder=FINDER)
    session.show_presets(presets)
    return session


def a_preset(
    preset_id: str = "glow",
    *,
    looks: Path = Path("/nowhere.png"),
    instant: bool = True,
    unavailable: str | None = None,
    parameters: tuple[Parameter, ...] = (GLOW,),
) -> PresetView:
    return PresetView(
        id=preset_id,
        version="1.0.0",
        name=preset_id.title(),
        summary="Makes pictures glow.",
        category="Products",
        tags=(),
        licence="CC0-1.0",
        instant=instant,
        cover=looks,
        before=looks,
        after=looks,
        parameters=parameters,
        unavailable=unavailable,
    )


def a_job(
    number: int,
    state: JobState = JobState.QUEUED,
    *,
    fraction: float = 0.0,
    outputs: tuple[Path, ...] = (),
    error: str | None = None,
    waits_for: str | None = None,
    source: Path | None = None,
) -> JobView:
    return JobView(
        id=f"job-{number}",
        source=source or Path(f"/in/{number}.png"),
        preset_id="glow",
        preset_name="Glow",
        state=state,
        created_at=_FIRST + timedelta(seconds=number),
        fraction=fraction,
        outputs=outputs,
        error=error,
        waits_for=waits_for,
        retryable=error is not None,
    )


def a_picture(path: Path, width: int = 60, height: int = 40, colour: str = "#886644") -> Path:
    image = QImage(width, height, QImage.Format.Format_RGB32)
    image.fill(QColor(colour))
    path.parent.mkdir(parents=True, exist_ok=True)
    assert image.save(str(path))
    return path


@dataclass
class ScriptedCore:
    """Keeps what it is asked, and tells what the test makes it tell."""

    presets_there: tuple[PresetView, ...] = ()
    shelf_there: tuple[PresetView, ...] | None = None  # None: the same as later
    answers: asyncio.Event | None = None  # what servers are waited for
    engines_there: tuple[EngineView, ...] = ()
    jobs_there: tuple[JobView, ...] = ()
    refusal: Exception | None = None
    asked: list[object] = field(default_factory=list)
    listeners: list[Callable[[CoreUpdate], None]] = field(default_factory=list)

    async def shelf(self) -> tuple[PresetView, ...]:
        return self.presets_there if self.shelf_there is None else self.shelf_there

    async def presets(self) -> tuple[PresetView, ...]:
        return self.presets_there

    async def engines(self) -> tuple[EngineView, ...]:
        if self.answers is not None:
            await self.answers.wait()
        return self.engines_there

    async def jobs(self, limit: int = 500) -> tuple[JobView, ...]:
        return self.jobs_there[:limit]

    async def develop(self, request: DevelopRequest) -> tuple[str, ...]:
        self.asked.append(request)
        if self.refusal is not None:
            raise self.refusal
        self.tell(a_job(1))
        return ("job-1",)

    async def cancel(self, job_id: str) -> None:
        self.asked.append(("cancel", job_id))
        if self.refusal is not None:
            raise self.refusal

    async def retry(self, job_id: str) -> str:
        self.asked.append(("retry", job_id))
        return "job-9"

    def subscribe(self, listener: Callable[[CoreUpdate], None]) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def tell(self, update: CoreUpdate) -> None:
        for listener in self.listeners:
            listener(update)
