"""What keeps the job shown from its picture, in full."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QWidget

from desktop.ui.icon_set import pixmap
from desktop.ui.widgets.status_text import status_of
from desktop.views import JobView

__all__ = ["TroubleStrip"]

_SIGN = 16


class TroubleStrip(QFrame):
    """Seen only where there is a sentence to say: why a job failed, or what it waits for."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("look", "strip")
        self._sign = QLabel()
        self._text = QLabel()
        self._text.setTextFormat(Qt.TextFormat.PlainText)
        self._text.setWordWrap(True)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(16, 7, 16, 8)
        layout.setSpacing(10)
        layout.addWidget(self._sign, 0, Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self._text, 1)
        self.hide()

    @property
    def text(self) -> str:
        return self._text.text()

    def show_job(self, job: JobView | None) -> None:
        status = None if job is None else status_of(job)
        if status is None or not status.wraps:
            self._text.clear()
            self.hide()
            return
        self._sign.setPixmap(pixmap(status.sign, _SIGN, status.ink, ratio=self.devicePixelRatioF()))
        self._text.setText(status.text)
        self.show()
