"""A text on one line, cut in the middle where it has no room."""

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from shared.legible import legible

__all__ = ["ElidedLabel"]


class ElidedLabel(QLabel):
    """Both ends of a name or path matter; the whole of it is in the tooltip, and for who cannot see."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._whole = ""
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    @property
    def whole(self) -> str:
        return self._whole

    def show_text(self, text: str, *, tooltip: str = "") -> None:
        self._whole = legible(text)
        self.setAccessibleName(self._whole)
        self._elide(tooltip or self._whole)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        return QSize(0, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        self._elide(self.toolTip())
        super().resizeEvent(event)

    def _elide(self, tooltip: str) -> None:
        middle = Qt.TextElideMode.ElideMiddle
        self.setText(self.fontMetrics().elidedText(self._whole, middle, self.width()))
        self.setToolTip(tooltip)
