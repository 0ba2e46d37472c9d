"""How far the present run is: the jobs since the queue was last empty."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from desktop.views import JobView
from shared.jobs.state import JobState, is_terminal

__all__ = ["RunProgress", "RunSummary"]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """`done` counts every ended job, `failed` and `cancelled` those of them that ended so, `unsaved` those
    whose files the output folder does not take yet; `fraction` is of all the work.
    """

    total: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    unsaved: int = 0
    fraction: float = 0.0
    eta_s: float | None = None

    @property
    def active(self) -> bool:
        return self.done < self.total

    @property
    def finished(self) -> int:
        """Those whose files are there."""
        return self.done - self.failed - self.cancelled - self.unsaved


class RunProgress:
    """Folds views of jobs; a run begins with the first job after a time without any."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = 0.0
        self._open: dict[str, float] = {}  # fraction of each job that has not ended
        self._done = 0
        self._failed: list[str] = []
        self._cancelled = 0
        self._unsaved: set[str] = set()

    def failed_ids(self) -> tuple[str, ...]:
        """The failed jobs of the present or the last run."""
        return tuple(self._failed)

    def observe(self, jobs: Iterable[JobView]) -> None:
        for job in jobs:
            if not is_terminal(job.state):
                self._begin(job)
            elif self._open.pop(job.id, None) is not None:
                self._done += 1
                if job.state is JobState.FAILED:
                    self._failed.append(job.id)
                elif job.state is JobState.CANCELLED:
                    self._cancelled += 1
                elif job.state is JobState.COMPLETED and job.error is not None:
                    self._unsaved.add(job.id)
            elif job.error is None:
                self._unsaved.discard(job.id)

    def summary(self) -> RunSummary:
        total = self._done + len(self._open)
        worked = self._done + sum(self._open.values())
        fraction = worked / total if total else 0.0
        return RunSummary(
            total=total,
            done=self._done,
            failed=len(self._failed),
            cancelled=self._cancelled,
            unsaved=len(self._unsaved),
            fraction=fraction,
            eta_s=self._eta(total, worked),
        )

    def _begin(self, job: JobView) -> None:
        if not self._open:
            self._began, self._done = self._clock(), 0
            self._failed, self._cancelled, self._unsaved = [], 0, set()
        self._open[job.id] = job.fraction

    def _eta(self, total: int, worked: float) -> float | None:
        """Seconds left at the pace so far, once that pace means something."""
        elapsed = self._clock() - self._began
        if not self._open or worked < 0.05 * total or elapsed < 2.0:
            return None
        return elapsed / worked * (total - worked)
