"""The presets as cards."""

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetrics, QHelpEvent, QPainter, QPen, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolTip,
    QWidget,
)

from desktop.state.pictures import Pictures
from desktop.state.preset_list import PRESET_ROLE, PresetList
from desktop.ui.icon_set import pixmap
from desktop.ui.messages import Text, say
from desktop.ui.theme import Ink, small_font, title_font
from desktop.ui.widgets.repainting_list import RepaintingList
from desktop.ui.widgets.thumbnails import CARD_SIDE, draw_cover
from desktop.views import PresetView

__all__ = ["PresetGallery"]

_Index = QModelIndex | QPersistentModelIndex

_GAP = 10
_TEXT_ROOM = 44
_LEAST_WIDTH = 118


class PresetGallery(RepaintingList):
    preset_chosen = Signal(object)  # PresetView

    def __init__(self, presets: PresetList, pictures: Pictures, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setModel(presets)
        self.setItemDelegate(_CardDelegate(pictures, self))
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setMovement(QListView.Movement.Static)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setUniformItemSizes(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMouseTracking(True)
        self.setAccessibleName(say(Text.GALLERY))
        pictures.arrived.connect(self.viewport().update)

    def select(self, row: int) -> None:
        index = self.model().index(row, 0)
        if index != self.currentIndex():
            self.setCurrentIndex(index)
            self.scrollTo(index)

    def currentChanged(self, current: _Index, previous: _Index) -> None:  # noqa: N802
        super().currentChanged(current, previous)
        preset = current.data(PRESET_ROLE)
        if isinstance(preset, PresetView):
            self.preset_chosen.emit(preset)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        # The scroll bar there or not: cards stay put. And a row that fits to the pixel counts as too long.
        room = self.width() - self.verticalScrollBar().sizeHint().width() - 1
        columns = max(1, room // _LEAST_WIDTH)
        width = room // columns
        self.setGridSize(QSize(width, round((width - _GAP) * 0.7) + _TEXT_ROOM + _GAP))
        super().resizeEvent(event)


class _CardDelegate(QStyledItemDelegate):
    def __init__(self, pictures: Pictures, gallery: PresetGallery) -> None:
        super().__init__(gallery)
        self._pictures = pictures
        self._gallery = gallery

    def sizeHint(self, _option: QStyleOptionViewItem, _index: _Index) -> QSize:  # noqa: N802
        return self._gallery.gridSize()

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        preset = index.data(PRESET_ROLE)
        if not isinstance(preset, PresetView):
            return
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        half = _GAP // 2
        card = QRectF(option.rect.adjusted(half, half, -half, -half))
        self._paint_ground(painter, card, option)
        cover = card.adjusted(0, 0, 0, -_TEXT_ROOM)
        if preset.unavailable is not None:
            painter.setOpacity(0.45)
        draw_cover(painter, cover, self._pictures.get(preset.cover, CARD_SIDE), radius=7)
        _paint_badge(painter, cover, preset, option)
        _paint_text(painter, card, preset, option)
        painter.restore()

    def helpEvent(  # noqa: N802
        self, event: QHelpEvent, view: QAbstractItemView, _option: QStyleOptionViewItem, index: _Index
    ) -> bool:
        preset = index.data(PRESET_ROLE)
        if not isinstance(preset, PresetView):
            return False
        QToolTip.showText(event.globalPos(), _tooltip(preset), view)
        return True

    def _paint_ground(self, painter: QPainter, card: QRectF, option: QStyleOptionViewItem) -> None:
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        hovered = bool(option.state & QStyle.StateFlag.State_MouseOver)
        painter.setBrush(Ink.HOVER if selected or hovered else Ink.RAISED)
        focused = selected and self._gallery.hasFocus()
        ring = QPen(Ink.AMBER, 2) if focused else QPen(Ink.QUIET_AMBER, 1.5)
        pen = ring if selected else QPen(Qt.PenStyle.NoPen)
        painter.setPen(pen)
        painter.drawRoundedRect(card, 8, 8)


def _paint_badge(painter: QPainter, cover: QRectF, preset: PresetView, option: QStyleOptionViewItem) -> None:
    """Shape and word tell instant from AI, not colour alone."""
    text = say(Text.INSTANT if preset.instant else Text.AI)
    font = small_font(option.font)
    metrics = QFontMetrics(font)
    width = metrics.horizontalAdvance(text) + 26
    box = QRectF(cover.left() + 6, cover.top() + 6, width, metrics.height() + 4)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(20, 20, 20, 205))
    painter.drawRoundedRect(box, box.height() / 2, box.height() / 2)
    ratio = painter.device().devicePixelRatioF()
    sign = pixmap("instant" if preset.instant else "ai", 12, Ink.AMBER, ratio=ratio)
    painter.drawPixmap(QRectF(box.left() + 6, box.center().y() - 6, 12, 12), sign, QRectF(sign.rect()))
    painter.setFont(font)
    painter.setPen(QColor("#eeeeee"))
    painter.drawText(box.adjusted(20, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, text)


def _paint_text(painter: QPainter, card: QRectF, preset: PresetView, option: QStyleOptionViewItem) -> None:
    room = QRect(round(card.left()) + 8, round(card.bottom()) - _TEXT_ROOM + 5, round(card.width()) - 16, 18)
    name = title_font(option.font, points=0)
    painter.setFont(name)
    painter.setPen(Ink.TEXT)
    flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
    elide = Qt.TextElideMode.ElideRight
    painter.drawText(room, flags, QFontMetrics(name).elidedText(preset.name, elide, room.width()))
    font = small_font(option.font)
    painter.setFont(font)
    painter.setPen(Ink.SOFT)
    line = preset.category or preset.licence
    room.translate(0, 17)
    painter.drawText(room, flags, QFontMetrics(font).elidedText(line, elide, room.width()))


def _tooltip(preset: PresetView) -> str:
    lines = [preset.summary, say(Text.INSTANT_HELP if preset.instant else Text.AI_HELP)]
    lines.append(say(Text.LICENCE, licence=preset.licence))
    if preset.unavailable is not None:
        lines.append(say(Text.UNAVAILABLE, reason=preset.unavailable))
    return "\n".join(lines)
