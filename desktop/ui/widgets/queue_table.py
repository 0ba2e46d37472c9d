"""The queue: a row for each job, with what may be done about it."""

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPoint, Qt, Signal
from PySide6.QtGui import QGuiApplication, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QMenu, QTableView, QWidget

from desktop.state.job_table import JobColumn, JobRole, JobTable
from desktop.state.pictures import Pictures
from desktop.ui.messages import Text, plain, say
from desktop.ui.theme import text_scale
from desktop.ui.widgets.queue_delegates import ActionDelegate, PictureDelegate, StatusDelegate
from desktop.views import JobView
from shared.jobs.state import JobState, is_terminal

__all__ = ["QueueTable"]

_Index = QModelIndex | QPersistentModelIndex

_ROW_HEIGHT = 52
_ACTION_WIDTH = 44


class QueueTable(QTableView):
    """Delete cancels, R tries again, Enter opens: for the chosen rows."""

    job_picked = Signal(object)  # JobView
    cancel_wanted = Signal(str)
    retry_wanted = Signal(str)
    reveal_wanted = Signal(object)  # Path
    open_wanted = Signal(object)  # Path

    def __init__(self, jobs: JobTable, pictures: Pictures, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setModel(jobs)
        self.setItemDelegateForColumn(JobColumn.PICTURE, PictureDelegate(pictures, self))
        self.setItemDelegateForColumn(JobColumn.STATUS, StatusDelegate(self))
        action = ActionDelegate(self)
        action.triggered.connect(self._act)
        self.setItemDelegateForColumn(JobColumn.ACTION, action)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.setMouseTracking(True)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._show_menu)
        self.setAccessibleName(plain(Text.QUEUE))
        self.setAccessibleDescription(say(Text.QUEUE_KEYS))
        self.clicked.connect(self._pick)
        self._shape_headers()
        pictures.arrived.connect(self.viewport().update)

    def currentChanged(self, current: _Index, previous: _Index) -> None:  # noqa: N802
        """Coming in by the tab key makes a row the current one, but chooses none."""
        super().currentChanged(current, previous)
        if self.selectionModel().isSelected(current):
            self._pick(current)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        match event.key():
            case Qt.Key.Key_Delete | Qt.Key.Key_Backspace:
                self._cancel(self._chosen())
            case Qt.Key.Key_R:
                self._retry(self._chosen())
            case Qt.Key.Key_Return | Qt.Key.Key_Enter:
                for job in self._chosen()[:1]:
                    self._open(job)
            case _:
                super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        room = self.viewport().width() - _ACTION_WIDTH
        picture = round(room * 0.56)
        self.setColumnWidth(JobColumn.PICTURE, picture)
        self.setColumnWidth(JobColumn.STATUS, room - picture)
        self.setColumnWidth(JobColumn.ACTION, _ACTION_WIDTH)
        super().resizeEvent(event)

    def _shape_headers(self) -> None:
        self.horizontalHeader().hide()
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.verticalHeader().hide()
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.verticalHeader().setDefaultSectionSize(round(_ROW_HEIGHT * text_scale(self.font())))

    def _pick(self, index: _Index) -> None:
        job = index.data(JobRole.JOB)
        if isinstance(job, JobView):
            self.job_picked.emit(job)

    def _chosen(self) -> list[JobView]:
        rows = self.selectionModel().selectedRows(JobColumn.PICTURE)
        found = (row.data(JobRole.JOB) for row in sorted(rows, key=lambda row: row.row()))
        return [job for job in found if isinstance(job, JobView)]

    def _act(self, job: JobView) -> None:
        """What the button at the end of a row does: stop it, try it again, or show the file."""
        if not is_terminal(job.state):
            self._cancel([job])
        elif job.retryable or job.state in {JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED}:
            self._retry([job])
        elif job.outputs:
            self.reveal_wanted.emit(job.outputs[0])

    def _cancel(self, jobs: list[JobView]) -> None:
        for job in jobs:
            if not is_terminal(job.state):
                self.cancel_wanted.emit(job.id)

    def _retry(self, jobs: list[JobView]) -> None:
        for job in jobs:
            if is_terminal(job.state) and job.state is not JobState.COMPLETED:
                self.retry_wanted.emit(job.id)

    def _open(self, job: JobView) -> None:
        if job.outputs:
            self.open_wanted.emit(job.outputs[0])

    def _show_menu(self, at: QPoint) -> None:
        index = self.indexAt(at)
        job = index.data(JobRole.JOB)
        if not isinstance(job, JobView):
            return
        chosen = self._chosen() or [job]
        menu = QMenu(self)
        running = menu.addAction(say(Text.CANCEL))
        running.setEnabled(any(not is_terminal(one.state) for one in chosen))
        running.triggered.connect(lambda: self._cancel(chosen))
        again = menu.addAction(say(Text.RETRY))
        again.setEnabled(
            any(is_terminal(one.state) and one.state is not JobState.COMPLETED for one in chosen)
        )
        again.triggered.connect(lambda: self._retry(chosen))
        menu.addSeparator()
        opened = menu.addAction(say(Text.OPEN))
        revealed = menu.addAction(say(Text.SHOW_IN_FOLDER))
        for action in (opened, revealed):
            action.setEnabled(bool(job.outputs))
        opened.triggered.connect(lambda: self._open(job))
        revealed.triggered.connect(lambda: self.reveal_wanted.emit(job.outputs[0]))
        if job.error is not None:
            copied = menu.addAction(say(Text.COPY_ERROR))
            copied.triggered.connect(lambda: QGuiApplication.clipboard().setText(job.error or ""))
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.viewport().mapToGlobal(at))
