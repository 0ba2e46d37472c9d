"""The chosen pictures in a row of small frames."""

from pathlib import Path

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from desktop.state.pictures import Pictures
from desktop.state.sources import Sources
from desktop.ui.messages import Text, say
from desktop.ui.theme import Ink
from desktop.ui.widgets.thumbnails import ROW_SIDE, draw_cover

__all__ = ["FilmStrip"]

_SIDE = 56
_GAP = 6


class FilmStrip(QWidget):
    """As many frames as there is room for; the last one counts the rest. A click shows the picture."""

    picked = Signal(object)  # Path

    def __init__(self, sources: Sources, pictures: Pictures, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sources = sources
        self._pictures = pictures
        self._current = 0
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAccessibleName(say(Text.CHOSEN_PICTURES))
        self.setMinimumHeight(_SIDE + 4)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        sources.changed.connect(self._changed)
        pictures.arrived.connect(self.update)

    def sizeHint(self) -> QSize:  # noqa: N802
        return QSize(4 * (_SIDE + _GAP), _SIDE + 4)

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        shown = self._shown()
        for place, path in enumerate(shown):
            box = self._box(place)
            draw_cover(painter, box, self._pictures.get(path, ROW_SIDE), radius=5)
            if self.hasFocus() and place == self._current:
                painter.setPen(QPen(Ink.AMBER, 2))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawRoundedRect(box, 5, 5)
        rest = len(self._sources.files) - len(shown)
        if rest > 0:
            self._paint_rest(painter, self._box(len(shown) - 1), rest + 1)

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        for place, path in enumerate(self._shown()):
            if self._box(place).contains(event.position()):
                self._pick(place, path)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()))
        shown = self._shown()
        if step is None or not shown:
            super().keyPressEvent(event)
            return
        place = min(len(shown) - 1, max(0, self._current + step))
        self._pick(place, shown[place])

    def _pick(self, place: int, path: Path) -> None:
        self._current = place
        self.update()
        self.picked.emit(path)

    def _shown(self) -> tuple[Path, ...]:
        room = max(1, (self.width() + _GAP) // (_SIDE + _GAP))
        return self._sources.files[:room]

    def _box(self, place: int) -> QRectF:
        return QRectF(place * (_SIDE + _GAP) + 1, 2, _SIDE, _SIDE)

    def _paint_rest(self, painter: QPainter, box: QRectF, rest: int) -> None:
        path = QPainterPath()
        path.addRoundedRect(box, 5, 5)
        veil = Ink.SURROUND
        painter.setOpacity(0.78)
        painter.fillPath(path, veil)
        painter.setOpacity(1.0)
        painter.setPen(Ink.TEXT)
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, f"+{rest:,}")

    def _changed(self) -> None:
        self._current = 0
        self.update()
