"""What the window holds: three columns, the queue under the viewer, notices at the foot."""

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QMessageBox, QSplitter, QVBoxLayout, QWidget

from desktop.state.session import Session
from desktop.ui.messages import Text, say
from desktop.ui.theme import text_scale
from desktop.ui.widgets.activity_pane import ActivityPane
from desktop.ui.widgets.develop_panel import DevelopPanel
from desktop.ui.widgets.notice_bar import NoticeBar
from desktop.ui.widgets.source_panel import SourcePanel
from desktop.ui.widgets.viewer_pane import ViewerPane

__all__ = ["Desk"]

_SIDE_WIDTHS = (268, 296)


class Desk(QWidget):
    """Arranges the parts, and knows whether there is work that closing would leave behind."""

    def __init__(
        self,
        session: Session,
        *,
        open_file: Callable[[Path], bool],
        show_in_folder: Callable[[Path], bool],
    ) -> None:
        super().__init__()
        self._session = session
        self.source_panel = SourcePanel(session)
        self.viewer = ViewerPane(session.spotlight, session.pictures)
        self.activity = ActivityPane(session)
        self.develop_panel = DevelopPanel(session)
        self.notice_bar = NoticeBar()
        self._columns = QSplitter(Qt.Orientation.Horizontal)
        self._middle = QSplitter(Qt.Orientation.Vertical)
        self._arrange()
        self._restore()
        self.activity.open_wanted.connect(open_file)
        self.activity.reveal_wanted.connect(show_in_folder)
        session.noticed.connect(self.notice_bar.tell)
        session.sources.refused.connect(self._tell_refused)
        session.sources.changed.connect(self._show_new_source)
        self._add_shortcuts()

    def may_close(self) -> bool:
        """Ask, if pictures are being developed."""
        return not self._session.progress.summary().active or self._may_leave_work()

    def keep_layout(self) -> None:
        self._session.remembered.keep_layout("columns", self._columns.saveState())
        self._session.remembered.keep_layout("middle", self._middle.saveState())

    def _may_leave_work(self) -> bool:
        box = QMessageBox(self)
        box.setWindowTitle(say(Text.APP))
        box.setText(say(Text.STILL_WORKING))
        box.setInformativeText(say(Text.STILL_WORKING_HINT))
        leave = box.addButton(say(Text.QUIT_NOW), QMessageBox.ButtonRole.AcceptRole)
        stay = box.addButton(say(Text.KEEP_OPEN), QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(stay)
        box.exec()
        return box.clickedButton() is leave

    def _tell_refused(self, reasons: Sequence[str]) -> None:
        first, n = reasons[0], len(reasons)
        text = first if n == 1 else say(Text.LEFT_OUT_MANY, n=n, reason=first)
        self._session.tell(text, trouble=True)

    def _show_new_source(self) -> None:
        files = self._session.sources.files
        if files and not self._session.developing:
            self._session.spotlight.show_source(files[0])

    def _arrange(self) -> None:
        self._middle.addWidget(self.viewer)
        self._middle.addWidget(self.activity)
        self._middle.setSizes([560, 260])
        self._middle.setStretchFactor(0, 1)
        scale = text_scale(self.font())
        for panel, width in zip((self.source_panel, self.develop_panel), _SIDE_WIDTHS, strict=True):
            panel.setMinimumWidth(round(width * scale))
        for part in (self.source_panel, self._middle, self.develop_panel):
            self._columns.addWidget(part)
        self._columns.setSizes([round(300 * scale), 700, round(320 * scale)])
        self._columns.setStretchFactor(1, 1)
        for splitter in (self._columns, self._middle):
            splitter.setChildrenCollapsible(False)
            splitter.setHandleWidth(2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._columns, 1)
        foot = QVBoxLayout()
        foot.setContentsMargins(8, 0, 8, 0)
        foot.addWidget(self.notice_bar)
        layout.addLayout(foot)

    def _restore(self) -> None:
        for name, restore in (
            ("columns", self._columns.restoreState),
            ("middle", self._middle.restoreState),
        ):
            stored = self._session.remembered.layout(name)
            if stored is not None:
                restore(stored)

    def _add_shortcuts(self) -> None:
        zone = self.source_panel.drop_zone
        for keys, action in (
            (QKeySequence(QKeySequence.StandardKey.Open), zone.choose_files),
            (QKeySequence("Ctrl+Shift+O"), zone.choose_folder),
            (QKeySequence(QKeySequence.StandardKey.Paste), zone.paste),
            (QKeySequence("Ctrl+Return"), self._session.develop),
            (QKeySequence(QKeySequence.StandardKey.Quit), self.window().close),
            (QKeySequence("F6"), self.viewer.compare.setFocus),
            (QKeySequence(QKeySequence.StandardKey.Cancel), self.notice_bar.hide),
        ):
            shortcut = QShortcut(keys, self)
            shortcut.activated.connect(action)
