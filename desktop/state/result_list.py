"""Finished pictures, newest first, as a Qt model."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from desktop.views import JobView
from shared.jobs.state import JobState
from shared.legible import legible

__all__ = ["RESULT_ROLE", "Result", "ResultList"]

RESULT_ROLE = int(Qt.ItemDataRole.UserRole)

_Index = QModelIndex | QPersistentModelIndex
_ROOT = QModelIndex()


@dataclass(frozen=True, slots=True)
class Result:
    """One delivered file beside the picture that it was made from."""

    job_id: str
    preset_name: str
    source: Path
    path: Path

    @property
    def name(self) -> str:
        return legible(self.path.name)


class ResultList(QAbstractListModel):
    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._results: list[Result] = []
        self._shown: set[str] = set()

    def apply(self, jobs: Iterable[JobView]) -> None:
        """Add the files of jobs that are completed and not shown yet."""
        done = [
            job
            for job in jobs
            if job.state is JobState.COMPLETED and job.outputs and job.id not in self._shown
        ]
        if not done:
            return
        done.sort(key=lambda job: job.created_at)
        new = [Result(job.id, job.preset_name, job.source, path) for job in done for path in job.outputs]
        self.beginInsertRows(QModelIndex(), 0, len(new) - 1)
        self._results.extend(new)
        self._shown.update(job.id for job in done)
        self.endInsertRows()

    def rowCount(self, parent: _Index = _ROOT) -> int:  # noqa: N802
        return 0 if parent.isValid() else len(self._results)

    def data(self, index: _Index, role: int = int(Qt.ItemDataRole.DisplayRole)) -> Any:
        if not index.isValid():
            return None
        result = self._results[len(self._results) - 1 - index.row()]
        match role:
            case Qt.ItemDataRole.DisplayRole | Qt.ItemDataRole.AccessibleTextRole:
                return result.name
            case Qt.ItemDataRole.AccessibleDescriptionRole:
                return result.preset_name
            case Qt.ItemDataRole.ToolTipRole:
                return legible(str(result.path))
            case Qt.ItemDataRole.UserRole:
                return result
            case _:
                return None
