"""Everything the window shows, and every wish of its user as a signal."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from desktop.state.form import Form, FormRules
from desktop.state.job_table import JobTable
from desktop.state.notice import Notice
from desktop.state.pictures import Pictures
from desktop.state.preset_list import PresetList
from desktop.state.remembered import Remembered
from desktop.state.result_list import ResultList
from desktop.state.run_progress import RunProgress
from desktop.state.sources import PictureFinder, Sources
from desktop.state.spotlight import Spotlight
from desktop.views import DevelopRequest, EngineView, JobView, PresetView

__all__ = ["Session"]


class Session(QObject):
    """Widgets read the models and call the verbs; the bridge answers the `..._wanted` signals."""

    develop_wanted = Signal(object)  # DevelopRequest
    cancel_wanted = Signal(str)  # job id
    retry_wanted = Signal(str)  # job id
    refresh_wanted = Signal()

    ready_changed = Signal()
    preset_changed = Signal()
    engines_changed = Signal()
    destination_changed = Signal()
    progress_changed = Signal()
    noticed = Signal(object)  # Notice

    def __init__(
        self,
        *,
        remembered: Remembered,
        sources: Sources,
        pictures: Pictures,
        progress: RunProgress,
    ) -> None:
        super().__init__()
        self.remembered = remembered
        self.sources = sources
        self.pictures = pictures
        self.progress = progress
        self.presets = PresetList(self)
        self.jobs = JobTable(self)
        self.results = ResultList(self)
        self.form = Form(self)
        self.spotlight = Spotlight(self)
        self.preset: PresetView | None = None
        self.engines: tuple[EngineView, ...] = ()
        self.ready = False
        self.developing = False
        self._default_out: Path | None = None
        self.form.changed.connect(self._keep_values)

    @property
    def engine(self) -> str:
        return self.remembered.engine or "auto"

    @property
    def out_folder(self) -> Path | None:
        return self.remembered.out_folder or self._default_out

    # What the core tells.

    def open(self, *, default_out: Path, rules: FormRules, finder: PictureFinder) -> None:
        """The core is there: wishes are answered from now on."""
        self._default_out = default_out
        self.form.use(rules)
        self.sources.use(finder)
        self.ready = True
        self.destination_changed.emit()
        self.ready_changed.emit()

    def show_presets(self, presets: Sequence[PresetView]) -> None:
        self.presets.show(presets)
        chosen = self.preset.id if self.preset else self.remembered.preset_id
        preset = (self.presets.find(chosen) if chosen else None) or self.presets.first()
        if preset is None:
            return
        if self.preset is not None and preset.parameters == self.preset.parameters:
            self.preset = preset  # only whether it can run has changed
            self.preset_changed.emit()
        else:
            self.choose_preset(preset)

    def show_engines(self, engines: Sequence[EngineView]) -> None:
        self.engines = tuple(engines)
        self.engines_changed.emit()

    def take_jobs(self, jobs: Sequence[JobView]) -> None:
        self.jobs.apply(jobs)
        self.results.apply(jobs)
        self.progress.observe(jobs)
        self.spotlight.refresh(jobs)
        self.progress_changed.emit()

    def take_previews(self, previews: Mapping[str, QImage]) -> None:
        for job_id, picture in previews.items():
            self.jobs.set_preview(job_id, picture)
            self.spotlight.take_preview(job_id, picture)

    def submitted(self, job_ids: Sequence[str]) -> None:
        """The core has journalled a request: nothing of it can be lost any more."""
        self.developing = False
        self.sources.clear()
        first = self.jobs.find(job_ids[0]) if job_ids else None
        if first is not None:
            self.spotlight.show_job(first)

    def refused(self, text: str) -> None:
        self.developing = False
        self.sources.changed.emit()
        self.tell(text, trouble=True)

    def tell(self, text: str, *, trouble: bool = False) -> None:
        self.noticed.emit(Notice(text, trouble))

    # What the user does.

    def choose_preset(self, preset: PresetView) -> None:
        self.preset = preset
        self.remembered.preset_id = preset.id
        self.form.show(preset.parameters, self.remembered.values(preset.id))
        self.spotlight.show_preset(preset)
        self.preset_changed.emit()

    def choose_engine(self, engine: str) -> None:
        self.remembered.engine = engine
        self.destination_changed.emit()

    def choose_out_folder(self, folder: Path | None) -> None:
        self.remembered.out_folder = folder
        self.destination_changed.emit()

    def can_develop(self) -> bool:
        return (
            self.ready
            and not self.developing
            and bool(self.sources.files)
            and self.preset is not None
            and self.preset.unavailable is None
            and self.form.first_problem() is None
        )

    def develop(self) -> None:
        if not self.can_develop() or self.preset is None:
            return
        self.developing = True
        self.sources.changed.emit()
        self.develop_wanted.emit(
            DevelopRequest(
                paths=self.sources.chosen,
                preset_id=self.preset.id,
                values=dict(self.form.own_values),
                out=self.remembered.out_folder,
                engine=self.engine,
            )
        )

    def close(self) -> None:
        self.sources.close()
        self.pictures.close()
        self.remembered.save()

    def _keep_values(self, _parameter_id: str) -> None:
        if self.preset is not None:
            self.remembered.keep_values(self.preset.id, self.form.own_values)
