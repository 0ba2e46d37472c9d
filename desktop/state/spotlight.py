"""The one thing that the viewer shows: a preset's example, a chosen picture or a job."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from desktop.views import JobView, PresetView
from shared.jobs.state import JobState, is_terminal
from shared.legible import legible

__all__ = ["Spotlight", "Subject"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """`after` is None while there is nothing finished; `job` is set for a job's pictures."""

    title: str
    before: Path | None = None
    after: Path | None = None
    job: JobView | None = None
    is_example: bool = False


class Spotlight(QObject):
    changed = Signal()
    preview_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._subject: Subject | None = None
        self._preview: QImage | None = None

    @property
    def subject(self) -> Subject | None:
        return self._subject

    @property
    def preview(self) -> QImage | None:
        """The work in progress of the job shown."""
        return self._preview

    def show_preset(self, preset: PresetView) -> None:
        self._show(Subject(title=preset.name, before=preset.before, after=preset.after, is_example=True))

    def show_source(self, path: Path) -> None:
        self._show(Subject(title=legible(path.name), before=path))

    def show_job(self, job: JobView, *, output: Path | None = None, preview: QImage | None = None) -> None:
        after = output or (job.outputs[0] if job.outputs else None)
        self._show(Subject(title=job.source_name, before=job.source, after=after, job=job), preview)

    def refresh(self, jobs: Iterable[JobView]) -> None:
        """Follow the job shown; the pictures stay until there are better ones, or there will be none."""
        shown = self._subject.job if self._subject else None
        if shown is None:
            return
        for job in jobs:
            if job.id == shown.id and job != shown:
                self.show_job(job, preview=self._preview if _will_show_more(job) else None)

    def take_preview(self, job_id: str, picture: QImage) -> None:
        if self._subject and self._subject.job and self._subject.job.id == job_id:
            self._preview = picture
            self.preview_changed.emit()

    def _show(self, subject: Subject, preview: QImage | None = None) -> None:
        self._subject, self._preview = subject, preview
        self.changed.emit()


def _will_show_more(job: JobView) -> bool:
    """A completed job has its outputs a moment later."""
    return not job.outputs and (job.state is JobState.COMPLETED or not is_terminal(job.state))
