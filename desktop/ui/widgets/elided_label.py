"""A text on one line, cut where it has no room."""

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from shared.legible import legible

__all__ = ["ElidedLabel"]


class ElidedLabel(QLabel):
    """In the middle, since both ends of a name or path matter, unless told otherwise; the whole of it is
    in the tooltip, and for who cannot see."""

    def __init__(
        self,
        parent: QWidget | None = None,
        *,
        mode: Qt.TextElideMode = Qt.TextElideMode.ElideMiddle,
    ) -> None:
        super().__init__(parent)
        self._mode = mode
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
        self.setText(self.fontMetrics().elidedText(self._whole, self._mode, self.width()))
        self.setToolTip(tooltip)
