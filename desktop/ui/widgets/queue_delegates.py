"""How the cells of the queue are painted."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from PySide6.QtCore import (
    QAbstractItemModel,
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRectF,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QFont, QFontMetrics, QHelpEvent, QPainter, QTextLayout
from PySide6.QtWidgets import (
    QAbstractItemView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolTip,
)

from desktop.state.job_table import JobColumn, JobRole
from desktop.state.picture import Picture
from desktop.state.pictures import Pictures
from desktop.ui.icon_set import pixmap
from desktop.ui.messages import Text, plain, say
from desktop.ui.theme import Ink, small_font
from desktop.ui.widgets.status_text import Status, status_of
from desktop.ui.widgets.thumbnails import ROW_SIDE, draw_cover
from desktop.views import JobView
from shared.jobs.state import JobState, is_terminal
from shared.legible import legible

__all__ = ["ActionDelegate", "PictureDelegate", "StatusDelegate"]

_Index = QModelIndex | QPersistentModelIndex

_THUMB_WIDTH = 56
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter


@contextlib.contextmanager
def _row(painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> Iterator[None]:
    """Paint the row's ground, and leave the painter as it was."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    if option.state & QStyle.StateFlag.State_Selected:
        painter.fillRect(option.rect, Ink.RAISED)
        if index.column() == JobColumn.PICTURE:
            painter.fillRect(option.rect.adjusted(0, 0, 3 - option.rect.width(), 0), Ink.AMBER)
    yield
    painter.restore()


class PictureDelegate(QStyledItemDelegate):
    def __init__(self, pictures: Pictures, parent: QObject) -> None:
        super().__init__(parent)
        self._pictures = pictures

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        job = index.data(JobRole.JOB)
        if isinstance(job, JobView):
            with _row(painter, option, index):
                self._paint(painter, option, index, job)

    def _paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index, job: JobView) -> None:
        cell = QRectF(option.rect)
        box = QRectF(cell.left() + 14, cell.top() + 6, _THUMB_WIDTH, cell.height() - 12)
        preview = index.data(JobRole.PREVIEW)
        if preview is not None:
            draw_cover(painter, box, Picture.whole(preview), radius=4)
        else:
            draw_cover(painter, box, self._pictures.get(_face(job), ROW_SIDE), radius=4)
        text = cell.adjusted(14 + _THUMB_WIDTH + 12, 8, -8, -8)
        upper, lower = text.adjusted(0, 0, 0, -text.height() / 2), text.adjusted(0, text.height() / 2, 0, 0)
        _line(painter, option, upper, job.source_name, Ink.TEXT)
        _line(painter, option, lower, _made(job), Ink.SOFT, small=True)


class StatusDelegate(QStyledItemDelegate):
    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        job = index.data(JobRole.JOB)
        if isinstance(job, JobView):
            with _row(painter, option, index):
                self._paint(painter, option, job)

    def _paint(self, painter: QPainter, option: QStyleOptionViewItem, job: JobView) -> None:
        cell = QRectF(option.rect).adjusted(8, 0, -12, 0)
        status = status_of(job)
        if status.fraction is not None:
            words = _fitting(status, option.font, cell.width())
            _line(painter, option, cell.adjusted(0, 6, 0, -20), words, status.ink)
            _bar(painter, QRectF(cell.left(), cell.bottom() - 17, cell.width(), 4), status.fraction)
            return
        ratio = painter.device().devicePixelRatioF()
        sign = pixmap(status.sign, 15, status.ink, ratio=ratio)
        spot = QRectF(cell.left(), cell.center().y() - 7.5, 15, 15)
        painter.drawPixmap(spot, sign, QRectF(sign.rect()))
        room = cell.adjusted(22, 5, 0, -5)
        if status.wraps:
            _wrapped(painter, option, room, status.text, status.ink)
        else:
            _line(painter, option, room, status.text, status.ink)


class ActionDelegate(QStyledItemDelegate):
    """The sign of what a click at the row's end does."""

    triggered = Signal(object)  # JobView

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        job = index.data(JobRole.JOB)
        if isinstance(job, JobView):
            with _row(painter, option, index):
                _paint_action(painter, option, job)

    def editorEvent(  # noqa: N802
        self, event: QEvent, model: QAbstractItemModel, option: QStyleOptionViewItem, index: _Index
    ) -> bool:
        if event.type() != QEvent.Type.MouseButtonRelease:
            return super().editorEvent(event, model, option, index)
        job = index.data(JobRole.JOB)
        if isinstance(job, JobView):
            self.triggered.emit(job)
        return True

    def helpEvent(  # noqa: N802
        self, event: QHelpEvent, view: QAbstractItemView, _option: QStyleOptionViewItem, index: _Index
    ) -> bool:
        job = index.data(JobRole.JOB)
        if not isinstance(job, JobView):
            return False
        QToolTip.showText(event.globalPos(), _action(job)[1], view)
        return True


def _paint_action(painter: QPainter, option: QStyleOptionViewItem, job: JobView) -> None:
    hovered = bool(option.state & QStyle.StateFlag.State_MouseOver)
    sign, _ = _action(job)
    if not sign:
        return
    cell = QRectF(option.rect)
    box = QRectF(cell.center().x() - 14, cell.center().y() - 14, 28, 28)
    if hovered:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(Ink.HOVER)
        painter.drawRoundedRect(box, 6, 6)
    picture = pixmap(sign, 18, Ink.TEXT if hovered else Ink.SOFT, ratio=painter.device().devicePixelRatioF())
    painter.drawPixmap(box.adjusted(5, 5, -5, -5), picture, QRectF(picture.rect()))


def _action(job: JobView) -> tuple[str, str]:
    if not is_terminal(job.state):
        return "cancel", say(Text.CANCEL)
    if job.state is not JobState.COMPLETED:
        return "retry", say(Text.RETRY)
    return ("reveal", plain(Text.SHOW_IN_FOLDER)) if job.outputs else ("", "")


def _face(job: JobView) -> Path:
    return job.outputs[0] if job.outputs else job.source


def _made(job: JobView) -> str:
    """The preset, and what the file is called where that is not the picture's own name."""
    names = [legible(path.name) for path in job.outputs[:1] if path.name != job.source.name]
    return " → ".join([job.preset_name, *names])


def _line(
    painter: QPainter,
    option: QStyleOptionViewItem,
    room: QRectF,
    text: str,
    ink: QColor,
    *,
    small: bool = False,
) -> None:
    """One line, cut in the middle where it is too long: both ends of a file name matter."""
    font = small_font(option.font) if small else option.font
    painter.setFont(font)
    painter.setPen(ink)
    shown = QFontMetrics(font).elidedText(text, Qt.TextElideMode.ElideMiddle, int(room.width()))
    painter.drawText(room, _LEFT, shown)


def _fitting(status: Status, font: QFont, width: float) -> str:
    both = f"{status.text} · {status.more}" if status.more else status.text
    return both if QFontMetrics(font).horizontalAdvance(both) <= width else status.text


def _wrapped(painter: QPainter, option: QStyleOptionViewItem, room: QRectF, text: str, ink: QColor) -> None:
    """A sentence on two lines; the viewer has the whole of it."""
    font = small_font(option.font)
    painter.setFont(font)
    painter.setPen(ink)
    lines = _two_lines(text, font, room.width())
    painter.drawText(room, int(_LEFT), "\n".join(lines))


def _two_lines(text: str, font: QFont, width: float) -> list[str]:
    layout = QTextLayout(text, font)
    layout.beginLayout()
    first = layout.createLine()
    first.setLineWidth(width)
    layout.endLayout()
    rest = text[first.textLength() :].strip()
    if not rest:
        return [text]
    elide = Qt.TextElideMode.ElideRight
    return [text[: first.textLength()].strip(), QFontMetrics(font).elidedText(rest, elide, int(width))]


def _bar(painter: QPainter, room: QRectF, fraction: float) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(Ink.LINE)
    painter.drawRoundedRect(room, 2, 2)
    painter.setBrush(Ink.AMBER)
    painter.drawRoundedRect(room.adjusted(0, 0, (fraction - 1.0) * room.width(), 0), 2, 2)
