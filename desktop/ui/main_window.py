"""The main window: light enough to be on screen before anything else is loaded."""

from collections.abc import Callable

from PySide6.QtCore import QSize, Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QMainWindow, QWidget

from desktop.state.remembered import Remembered
from desktop.ui.messages import Text, say
from desktop.ui.opening import Opening

__all__ = ["MainWindow"]

_FIRST_SIZE = QSize(1320, 820)
_LEAST_SIZE = QSize(960, 600)


class MainWindow(QMainWindow):
    """`closing` is emitted once, when it really closes."""

    closing = Signal()

    def __init__(self, remembered: Remembered) -> None:
        super().__init__()
        self._remembered = remembered
        self._may_close: Callable[[], bool] = lambda: True
        self.setWindowTitle(say(Text.APP))
        self.setMinimumSize(_LEAST_SIZE)
        self.resize(_FIRST_SIZE)
        stored = remembered.layout("window")
        if stored is not None:
            self.restoreGeometry(stored)
        self.setCentralWidget(Opening())

    def furnish(self, desk: QWidget, *, may_close: Callable[[], bool]) -> None:
        """Put the desk in place of the opening."""
        self._may_close = may_close
        self.setCentralWidget(desk)
        desk.setFocus()

    def bring_forward(self) -> None:
        self.showNormal() if self.isMinimized() else self.show()
        self.raise_()
        self.activateWindow()

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        if not self._may_close():
            event.ignore()
            return
        self._remembered.keep_layout("window", self.saveGeometry())
        event.accept()
        self.closing.emit()
