"""Queue and finished pictures, with the progress of the present run above them."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QButtonGroup,
    QFrame,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from desktop.state.result_list import Result
from desktop.state.run_progress import RunSummary
from desktop.state.session import Session
from desktop.ui import messages
from desktop.ui.messages import Text, counted, say
from desktop.ui.widgets.elided_label import ElidedLabel
from desktop.ui.widgets.empty_state import EmptyState
from desktop.ui.widgets.queue_table import QueueTable
from desktop.ui.widgets.results_grid import ResultsGrid
from desktop.ui.widgets.sign_button import SignButton
from desktop.views import JobView
from shared.jobs.state import is_terminal

__all__ = ["ActivityPane"]

_BAR_STEPS = 1000


class ActivityPane(QFrame):
    reveal_wanted = Signal(object)  # Path
    open_wanted = Signal(object)  # Path

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.setProperty("look", "panel")
        self.queue = QueueTable(session.jobs, session.pictures)
        self.results = ResultsGrid(session.results, session.pictures)
        self._tabs = (_tab(Text.QUEUE), _tab(Text.RESULTS))
        self._pages = QStackedWidget()
        self._queue_page = _stacked(
            self.queue, EmptyState("clock", say(Text.QUEUE_EMPTY), say(Text.QUEUE_EMPTY_HINT))
        )
        self._results_page = _stacked(
            self.results, EmptyState("picture", say(Text.RESULTS_EMPTY), say(Text.RESULTS_EMPTY_HINT))
        )
        self._progress = QProgressBar()
        self._progress.setTextVisible(False)
        self._progress.setRange(0, _BAR_STEPS)
        self._words = ElidedLabel(mode=Qt.TextElideMode.ElideRight)
        self._words.setProperty("look", "muted")
        self._cancel_all = _button(Text.CANCEL_ALL)
        self._retry_failed = _button(Text.RETRY_FAILED)
        self._open = SignButton(Text.OPEN, "open")
        self._reveal = SignButton(Text.SHOW_IN_FOLDER, "reveal")
        self._arrange()
        self._connect()
        self._show_counts()

    @property
    def progress_text(self) -> str:
        return self._words.whole

    def show_queue(self) -> None:
        self._tabs[0].setChecked(True)

    def show_results(self) -> None:
        self._tabs[1].setChecked(True)

    def _connect(self) -> None:
        session = self._session
        self._tabs[1].toggled.connect(self._turn_page)
        session.progress_changed.connect(self._show_counts)
        session.develop_wanted.connect(self.show_queue)
        session.jobs.modelReset.connect(self._show_counts)
        self.queue.cancel_wanted.connect(session.cancel_wanted)
        self.queue.retry_wanted.connect(session.retry_wanted)
        self.queue.job_picked.connect(self._pick_job)
        self.results.result_picked.connect(self._pick_result)
        for view in (self.queue, self.results):
            view.reveal_wanted.connect(self.reveal_wanted)
            view.open_wanted.connect(self.open_wanted)
        self._cancel_all.clicked.connect(self._on_cancel_all)
        self._retry_failed.clicked.connect(self._on_retry_failed)
        self._open.clicked.connect(self._on_open)
        self._reveal.clicked.connect(self._on_reveal)

    def _turn_page(self, results: bool) -> None:
        self._pages.setCurrentIndex(1 if results else 0)
        self._show_counts()

    def _show_counts(self) -> None:
        summary = self._session.progress.summary()
        on_results = self._pages.currentIndex() == 1
        jobs, results = self._session.jobs.rowCount(), self._session.results.rowCount()
        self._queue_page.setCurrentIndex(0 if jobs else 1)
        self._results_page.setCurrentIndex(0 if results else 1)
        self._tabs[1].setText(f"{say(Text.RESULTS)}  {results:,}" if results else say(Text.RESULTS))
        self._words.show_text(_run_words(summary))
        self._progress.setVisible(summary.active)
        self._progress.setValue(round(summary.fraction * _BAR_STEPS))
        self._cancel_all.setVisible(summary.active and not on_results)
        self._retry_failed.setVisible(summary.failed > 0 and not summary.active and not on_results)
        for button in (self._open, self._reveal):
            button.setVisible(on_results)
            button.setEnabled(self.results.chosen() is not None)

    def _pick_job(self, job: JobView) -> None:
        self._session.spotlight.show_job(job, preview=self._session.jobs.preview(job.id))

    def _pick_result(self, result: Result) -> None:
        job = self._session.jobs.find(result.job_id)
        if job is not None:
            self._session.spotlight.show_job(job, output=result.path)
        self._show_counts()

    def _on_cancel_all(self) -> None:
        for job in list(self._session.jobs.jobs()):
            if not is_terminal(job.state):
                self._session.cancel_wanted.emit(job.id)

    def _on_retry_failed(self) -> None:
        for job_id in self._session.progress.failed_ids():
            self._session.retry_wanted.emit(job_id)

    def _on_open(self) -> None:
        result = self.results.chosen()
        if result is not None:
            self.open_wanted.emit(result.path)

    def _on_reveal(self) -> None:
        result = self.results.chosen()
        if result is not None:
            self.reveal_wanted.emit(result.path)

    def _arrange(self) -> None:
        group = QButtonGroup(self)
        bar = QHBoxLayout()
        bar.setContentsMargins(10, 6, 12, 6)
        bar.setSpacing(6)
        for tab in self._tabs:
            group.addButton(tab)
            bar.addWidget(tab)
        self._tabs[0].setChecked(True)
        bar.addSpacing(8)
        bar.addWidget(self._words, 1)
        for button in (self._cancel_all, self._retry_failed, self._open, self._reveal):
            bar.addWidget(button)
        self._pages.addWidget(self._queue_page)
        self._pages.addWidget(self._results_page)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(bar)
        layout.addWidget(self._progress)
        layout.addWidget(self._pages, 1)


def _run_words(summary: RunSummary) -> str:
    if summary.total == 0:
        return ""
    words: list[str] = []
    if summary.active:
        words = [counted(Text.RUN_ONE, Text.RUN_MANY, summary.total, done=f"{summary.done:,}")]
    elif summary.finished < summary.done:
        words = [say(Text.RUN_DONE_SOME, n=f"{summary.finished:,}")]
    else:
        words = [counted(Text.RUN_DONE_ONE, Text.RUN_DONE_MANY, summary.done)]
    if summary.failed:
        words.append(say(Text.RUN_FAILED, n=f"{summary.failed:,}"))
    if summary.cancelled:
        words.append(say(Text.RUN_CANCELLED, n=f"{summary.cancelled:,}"))
    if summary.unsaved:
        words.append(say(Text.RUN_UNSAVED, n=f"{summary.unsaved:,}"))
    if summary.eta_s is not None:
        words.append(messages.eta(summary.eta_s))
    return " · ".join(words)


def _tab(text: Text) -> QToolButton:
    tab = QToolButton()
    tab.setText(say(text))
    tab.setProperty("look", "tab")
    tab.setCheckable(True)
    return tab


def _button(text: Text) -> QPushButton:
    button = QPushButton(say(text))
    button.setAutoDefault(True)
    return button


def _stacked(view: QWidget, empty: QWidget) -> QStackedWidget:
    stack = QStackedWidget()
    stack.addWidget(view)
    stack.addWidget(empty)
    stack.setCurrentIndex(1)
    return stack
