"""What stands where there is nothing yet: a sign, a title, what to do."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from desktop.ui.icon_set import pixmap
from desktop.ui.theme import Ink, title_font

__all__ = ["EmptyState"]

_SIGN = 34


class EmptyState(QWidget):
    def __init__(self, sign: str, title: str, hint: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sign = QLabel()
        self._sign.setPixmap(pixmap(sign, _SIGN, Ink.FAINT, ratio=self.devicePixelRatioF()))
        self._title = QLabel(title)
        self._title.setFont(title_font(self.font(), points=1))
        self._hint = QLabel(hint)
        self._hint.setProperty("look", "muted")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 12, 24, 12)
        layout.setSpacing(6)
        layout.addStretch(1)
        for label in (self._sign, self._title, self._hint):
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            label.setWordWrap(label is self._hint)
            layout.addWidget(label)
        layout.addStretch(1)

    def say(self, title: str, hint: str) -> None:
        self._title.setText(title)
        self._hint.setText(hint)
