"""Jobs as the window shows them: what the journal holds, and what only passes by."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from desktop.jobs.queue import JobChange
from desktop.store.job import Delivery, Job, PresetRecipe
from desktop.views import CoreUpdate, JobPreview, JobView
from shared.jobs.events import JobEvent, Preview, Progress, Requeued, Stage, StageName, Started
from shared.jobs.state import JobState, is_terminal
from shared.legible import legible

__all__ = ["JobViews"]


@dataclass(frozen=True, slots=True)
class _Passing:
    stage: str | None = None
    fraction: float = 0.0
    step: int | None = None
    steps: int | None = None
    eta_s: float | None = None
    waits_for: str | None = None


class JobViews:
    """Turns the queue's changes into what the window may show. `names` are presets' names by id."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names
        self._passing: dict[str, _Passing] = {}

    def of(self, job: Job) -> JobView:
        passing = self._passing.get(job.id, _Passing())
        recipe = job.order.recipe
        preset_id = recipe.preset_id if isinstance(recipe, PresetRecipe) else ""
        error, retryable = _trouble(job)
        return JobView(
            id=job.id,
            source=job.order.source,
            preset_id=preset_id,
            preset_name=self.names.get(preset_id, preset_id) or "Graph",
            state=job.state,
            created_at=job.created_at,
            engine=job.engine,
            stage=passing.stage,
            fraction=1.0 if job.state is JobState.COMPLETED else passing.fraction,
            step=passing.step,
            steps=passing.steps,
            eta_s=passing.eta_s,
            waits_for=None if passing.waits_for is None else legible(passing.waits_for),
            outputs=tuple(item.path for item in job.outputs if item.path is not None)
            if job.delivery is Delivery.DELIVERED
            else (),
            error=error,
            retryable=retryable,
        )

    def translate(self, change: JobChange, listener: Callable[[CoreUpdate], None]) -> None:
        """Tell the listener what a change means for the window."""
        if isinstance(change.event, Preview):
            listener(
                JobPreview(job_id=change.job.id, media_type=change.event.media_type, data=change.event.data)
            )
            return
        self._remember(change.job, change.event, change.waits_for)
        listener(self.of(change.job))

    def _remember(self, job: Job, event: JobEvent | None, waits_for: str | None) -> None:
        if is_terminal(job.state) or isinstance(event, Requeued):
            self._passing.pop(job.id, None)
            return
        known = replace(self._passing.get(job.id, _Passing()), waits_for=waits_for)
        if isinstance(event, Progress):
            self._passing[job.id] = replace(
                known, fraction=event.fraction, eta_s=event.eta_s, step=event.step, steps=event.steps
            )
        elif isinstance(event, Stage):
            self._passing[job.id] = replace(known, stage=event.name, step=None, steps=None)
        elif isinstance(event, Started):
            self._passing[job.id] = replace(known, stage=StageName.RUNNING)
        elif waits_for is not None or job.id in self._passing:
            self._passing[job.id] = known


def _trouble(job: Job) -> tuple[str | None, bool]:
    if job.error is not None:
        return legible(job.error.message), True
    if job.state is JobState.COMPLETED and job.delivery is Delivery.BLOCKED:
        reason = legible(job.delivery_reason or "")
        return f"developed, but not saved yet: {reason}; it is tried again by itself", False
    return None, job.state is JobState.CANCELLED
