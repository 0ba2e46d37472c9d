"""A picture before and after, with a divider to drag."""

from PySide6.QtCore import QPointF, QRectF, QSize, QSizeF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFocusEvent,
    QFontMetricsF,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from desktop.state.picture import Picture
from desktop.ui.messages import Text, say
from desktop.ui.theme import Ink
from desktop.ui.widgets.lens import Lens, fit_scale, lens_rect, moved, zoomed
from desktop.ui.widgets.photo_print import PhotoPrint

__all__ = ["CompareView"]

_GRIP = 10.0
_KEY_STEP = 0.02
_SHAPE_TOLERANCE = 0.02


class CompareView(QWidget):
    """Pictures of one shape share a frame that the divider cuts; others stand side by side."""

    lens_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._before: PhotoPrint | None = None
        self._after: PhotoPrint | None = None
        self._captions = ("", "")
        self._lens = Lens()
        self._divider = 0.5
        self._original = False
        self._drag: QPointF | None = None
        self._dragging_divider = False
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(260, 150)
        self.setAccessibleName(say(Text.DIVIDER))

    def sizeHint(self) -> QSize:  # noqa: N802
        return QSize(640, 420)

    @property
    def divider(self) -> float:
        """Share of the frame that shows the picture before, 0 to 1."""
        return self._divider

    @property
    def percent(self) -> int | None:
        """The zoom, or None while nothing is shown."""
        size = self._size()
        if size is None:
            return None
        scale = self._lens.scale or fit_scale(size, self._frame().size())
        return round(scale * self.devicePixelRatioF() * 100)

    @property
    def is_fitted(self) -> bool:
        return self._lens.scale is None

    def show_pictures(
        self, before: Picture | None, after: Picture | None, *, captions: tuple[str, str], keep_lens: bool
    ) -> None:
        self._before = None if before is None else PhotoPrint(before)
        self._after = None if after is None else PhotoPrint(after)
        self._captions = captions
        self._set_lens(self._lens if keep_lens else Lens())

    def fit(self) -> None:
        self._set_lens(Lens())

    def actual_size(self) -> None:
        self._set_lens(Lens(1.0 / self.devicePixelRatioF(), self._lens.x, self._lens.y))

    def show_original(self, on: bool) -> None:
        self._original = on
        self.update()

    def set_divider(self, share: float) -> None:
        self._divider = min(1.0, max(0.0, share))
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802
        painter = QPainter(self)
        painter.fillRect(self.rect(), Ink.SURROUND)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        before, after = self._before, self._after
        if before is not None and after is not None and not self._original:
            if self._is_split():
                self._paint_split(painter, before, after)
            else:
                self._paint_side_by_side(painter, before, after)
        else:
            only = before if self._original or after is None else after
            if only is not None:
                self._paint(painter, only, self._frame())
                shown = self._captions[0 if only is before else 1]
                self._caption(painter, shown, self._seen(only, self._frame()), right=False)
        if self.hasFocus():
            painter.setPen(QPen(Ink.AMBER, 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5))

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        if event.button() != Qt.MouseButton.LeftButton:
            return
        self._drag = event.position()
        self._dragging_divider = self._is_split() and (
            self.is_fitted or abs(event.position().x() - self._divider_x()) < _GRIP
        )
        if self._dragging_divider:
            self._divide_at(event.position())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        size = self._size()
        if self._drag is None:
            self.setCursor(self._cursor(event.position()))
        elif self._dragging_divider:
            self._divide_at(event.position())
        elif size is not None:
            self._set_lens(moved(self._lens, event.position() - self._drag, size, self._frame()))
            self._drag = event.position()

    def mouseReleaseEvent(self, _event: QMouseEvent) -> None:  # noqa: N802
        self._drag = None

    def mouseDoubleClickEvent(self, _event: QMouseEvent) -> None:  # noqa: N802
        if self.is_fitted:
            self.actual_size()
        else:
            self.fit()

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        size = self._size()
        if size is not None:
            factor = 1.0015 ** event.angleDelta().y()
            self._set_lens(zoomed(self._lens, factor, event.position(), size, self._frame()))
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        match event.key():
            case Qt.Key.Key_Left:
                self.set_divider(self._divider - _KEY_STEP)
            case Qt.Key.Key_Right:
                self.set_divider(self._divider + _KEY_STEP)
            case Qt.Key.Key_Home:
                self.set_divider(0.0)
            case Qt.Key.Key_End:
                self.set_divider(1.0)
            case Qt.Key.Key_O if not event.isAutoRepeat():
                self.show_original(True)
            case Qt.Key.Key_F:
                self.fit()
            case Qt.Key.Key_1:
                self.actual_size()
            case Qt.Key.Key_Plus | Qt.Key.Key_Equal:
                self._zoom_in_the_middle(1.25)
            case Qt.Key.Key_Minus:
                self._zoom_in_the_middle(0.8)
            case _:
                super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        if event.key() == Qt.Key.Key_O and not event.isAutoRepeat():
            self.show_original(False)
        else:
            super().keyReleaseEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        self.show_original(False)
        super().focusOutEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        super().resizeEvent(event)
        self.lens_changed.emit()

    def _set_lens(self, lens: Lens) -> None:
        self._lens = lens
        self.update()
        self.lens_changed.emit()

    def _zoom_in_the_middle(self, factor: float) -> None:
        size = self._size()
        if size is not None:
            frame = self._frame()
            self._set_lens(zoomed(self._lens, factor, frame.center(), size, frame))

    def _size(self) -> QSizeF | None:
        shown = self._after or self._before
        return None if shown is None else shown.size

    def _is_split(self) -> bool:
        if self._before is None or self._after is None:
            return False
        return abs(self._before.shape / self._after.shape - 1.0) < _SHAPE_TOLERANCE

    def _frame(self) -> QRectF:
        """Where pictures may stand: all of the widget, or its right half beside another picture."""
        whole = QRectF(self.rect())
        margin = 12.0
        inner = whole.adjusted(margin, margin, -margin, -margin)
        if self._before is None or self._after is None or self._original or self._is_split():
            return inner
        return QRectF(
            whole.center().x() + 4, inner.top(), inner.right() - whole.center().x() - 4, inner.height()
        )

    def _paint_split(self, painter: QPainter, before: PhotoPrint, after: PhotoPrint) -> None:
        frame = self._frame()
        x = self._divider_x()
        self._paint(painter, after, frame, clip=QRectF(x, 0, self.width() - x, self.height()))
        shape = lens_rect(self._lens, after.size, frame)
        self._paint(painter, before, frame, into=shape, clip=QRectF(0, 0, x, self.height()))
        seen = shape.intersected(frame)
        painter.setPen(QPen(QColor(0, 0, 0, 120), 3))
        painter.drawLine(QPointF(x, seen.top()), QPointF(x, seen.bottom()))
        painter.setPen(QPen(Ink.AMBER, 1.5))
        painter.drawLine(QPointF(x, seen.top()), QPointF(x, seen.bottom()))
        self._paint_grip(painter, QPointF(x, seen.center().y()))
        self._caption(painter, self._captions[0], seen, right=False, limit=x)
        self._caption(painter, self._captions[1], seen, right=True, limit=x)

    def _paint_side_by_side(self, painter: QPainter, before: PhotoPrint, after: PhotoPrint) -> None:
        right = self._frame()
        left = QRectF(12.0, right.top(), right.width(), right.height())
        self._paint(painter, before, left)
        self._paint(painter, after, right)
        self._caption(painter, self._captions[0], self._seen(before, left), right=False)
        self._caption(painter, self._captions[1], self._seen(after, right), right=False)

    def _seen(self, picture: PhotoPrint, frame: QRectF) -> QRectF:
        return lens_rect(self._lens, picture.size, frame).intersected(frame)

    def _paint(
        self,
        painter: QPainter,
        picture: PhotoPrint,
        frame: QRectF,
        *,
        into: QRectF | None = None,
        clip: QRectF | None = None,
    ) -> None:
        target = into or lens_rect(self._lens, picture.size, frame)
        painter.save()
        painter.setClipRect(frame if clip is None else frame.intersected(clip))
        ready = picture.at((target.size() * self.devicePixelRatioF()).toSize())
        painter.drawPixmap(target, ready, QRectF(ready.rect()))
        painter.restore()

    def _paint_grip(self, painter: QPainter, at: QPointF) -> None:
        painter.setPen(QPen(QColor(0, 0, 0, 110), 1))
        painter.setBrush(Ink.AMBER)
        painter.drawEllipse(at, 11, 11)
        painter.setPen(QPen(Ink.ON_AMBER, 1.6, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        for side in (-1, 1):
            painter.drawPolyline(
                [
                    at + QPointF(side * 3.0, -3.6),
                    at + QPointF(side * 6.2, 0.0),
                    at + QPointF(side * 3.0, 3.6),
                ]
            )

    def _caption(
        self, painter: QPainter, text: str, frame: QRectF, *, right: bool, limit: float | None = None
    ) -> None:
        """A quiet label in a corner, left out where the divider leaves it no room."""
        if not text:
            return
        metrics = QFontMetricsF(self.font())
        width = metrics.horizontalAdvance(text) + 16
        left = frame.right() - width - 8 if right else frame.left() + 8
        if limit is not None and (left < limit if right else left + width > limit):
            return
        box = QRectF(left, frame.top() + 8, width, metrics.height() + 6)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(18, 18, 18, 190))
        painter.drawRoundedRect(box, 5, 5)
        painter.setPen(QColor("#f0f0f0"))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)

    def _divider_x(self) -> float:
        size = self._size()
        frame = self._frame()
        shown = frame if size is None else lens_rect(self._lens, size, frame).intersected(frame)
        return shown.left() + self._divider * shown.width()

    def _divide_at(self, at: QPointF) -> None:
        size = self._size()
        if size is not None:
            shown = lens_rect(self._lens, size, self._frame()).intersected(self._frame())
            self.set_divider((at.x() - shown.left()) / max(shown.width(), 1.0))

    def _cursor(self, at: QPointF) -> Qt.CursorShape:
        if self._is_split() and abs(at.x() - self._divider_x()) < _GRIP:
            return Qt.CursorShape.SplitHCursor
        return Qt.CursorShape.ArrowCursor if self.is_fitted else Qt.CursorShape.OpenHandCursor
