"""The queue, newest job first, as a Qt model that is told of changes in batches."""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from itertools import groupby
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtGui import QImage

from desktop.views import JobView
from shared.jobs.state import is_terminal
from shared.legible import legible

__all__ = ["JobColumn", "JobRole", "JobTable"]

_Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()


class JobColumn(IntEnum):
    PICTURE = 0
    STATUS = 1
    ACTION = 2


class JobRole(IntEnum):
    """What a cell holds beyond its text."""

    JOB = int(Qt.ItemDataRole.UserRole)
    PREVIEW = int(Qt.ItemDataRole.UserRole) + 1


class JobTable(QAbstractTableModel):
    """Jobs are kept oldest first, so that a new one moves no other; rows count from the newest."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._jobs: list[JobView] = []
        self._place: dict[str, int] = {}
        self._previews: dict[str, QImage] = {}

    def apply(self, jobs: Iterable[JobView]) -> None:
        """Take the latest view of each job; one insertion and one repaint per run of rows."""
        new: dict[str, JobView] = {}
        rows: list[int] = []
        for job in jobs:
            place = self._place.get(job.id)
            if place is None:
                new[job.id] = job
                continue
            self._jobs[place] = job
            rows.append(self._row(place))
            if is_terminal(job.state):
                self._previews.pop(job.id, None)
        for first, last in _runs(rows):
            self.dataChanged.emit(self.index(first, 0), self.index(last, len(JobColumn) - 1))
        self._append(sorted(new.values(), key=lambda job: job.created_at))

    def set_preview(self, job_id: str, picture: QImage) -> None:
        job = self.find(job_id)
        if job is None or is_terminal(job.state):
            return
        self._previews[job_id] = picture
        cell = self.index(self._row(self._place[job_id]), JobColumn.PICTURE)
        self.dataChanged.emit(cell, cell)

    def preview(self, job_id: str) -> QImage | None:
        return self._previews.get(job_id)

    def find(self, job_id: str) -> JobView | None:
        place = self._place.get(job_id)
        return None if place is None else self._jobs[place]

    def jobs(self) -> Iterator[JobView]:
        """Newest first."""
        return reversed(self._jobs)

    def rowCount(self, parent: _Index = _ROOT) -> int:  # noqa: N802
        return 0 if parent.isValid() else len(self._jobs)

    def columnCount(self, parent: _Index = _ROOT) -> int:  # noqa: N802
        return 0 if parent.isValid() else len(JobColumn)

    def data(self, index: _Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> Any:
        if not index.isValid():
            return None
        job = self._jobs[len(self._jobs) - 1 - index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole | Qt.ItemDataRole.AccessibleTextRole:
                return _text(job, JobColumn(index.column()))
            case Qt.ItemDataRole.ToolTipRole:
                return job.error or job.waits_for or legible(str(job.source))
            case JobRole.JOB:
                return job
            case JobRole.PREVIEW:
                return self._previews.get(job.id)
            case _:
                return None

    def _append(self, jobs: list[JobView]) -> None:
        if not jobs:
            return
        self.beginInsertRows(QModelIndex(), 0, len(jobs) - 1)
        for job in jobs:
            self._place[job.id] = len(self._jobs)
            self._jobs.append(job)
        self.endInsertRows()

    def _row(self, place: int) -> int:
        return len(self._jobs) - 1 - place


def _runs(rows: list[int]) -> Iterator[tuple[int, int]]:
    """First and last row of each run of neighbours."""
    for _, run in groupby(enumerate(sorted(set(rows))), key=lambda pair: pair[1] - pair[0]):
        members = [row for _, row in run]
        yield members[0], members[-1]


def _text(job: JobView, column: JobColumn) -> str:
    match column:
        case JobColumn.PICTURE:
            return job.source_name
        case JobColumn.STATUS:
            return job.error or job.waits_for or f"{job.preset_name}: {job.state.value}"
        case JobColumn.ACTION:
            return ""
