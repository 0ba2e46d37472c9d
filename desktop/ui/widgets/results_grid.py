"""Finished pictures as a grid."""

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPoint, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QPainter, QPen, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListView,
    QMenu,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from desktop.state.pictures import Pictures
from desktop.state.result_list import RESULT_ROLE, Result, ResultList
from desktop.ui.messages import Text, plain, say
from desktop.ui.theme import Ink, small_font, text_scale
from desktop.ui.widgets.repainting_list import RepaintingList
from desktop.ui.widgets.thumbnails import CARD_SIDE, draw_cover

__all__ = ["ResultsGrid"]

_Index = QModelIndex | QPersistentModelIndex

_LEAST_WIDTH = 144
_GAP = 6
_SHAPE = 0.73
_TEXT_ROOM = 22


class ResultsGrid(RepaintingList):
    result_picked = Signal(object)  # Result
    reveal_wanted = Signal(object)  # Path
    open_wanted = Signal(object)  # Path

    def __init__(self, results: ResultList, pictures: Pictures, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("results")
        self.setModel(results)
        self._text_room = round(_TEXT_ROOM * text_scale(self.font()))
        self.setItemDelegate(_ResultDelegate(pictures, self))
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setMovement(QListView.Movement.Static)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setUniformItemSizes(True)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMouseTracking(True)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._show_menu)
        self.activated.connect(self._open)
        self.clicked.connect(self._pick)
        self.setAccessibleName(plain(Text.RESULTS))
        pictures.arrived.connect(self.viewport().update)

    def chosen(self) -> Result | None:
        result = self.currentIndex().data(RESULT_ROLE)
        return result if isinstance(result, Result) else None

    def currentChanged(self, current: _Index, previous: _Index) -> None:  # noqa: N802
        """Coming in by the tab key makes a picture the current one, but chooses none."""
        super().currentChanged(current, previous)
        if self.selectionModel().isSelected(current):
            self._pick(current)

    @property
    def text_room(self) -> int:
        """How high the line under each picture is."""
        return self._text_room

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """The scroll bar there or not: pictures stay put. And a row that fits to the pixel counts as too
        long."""
        room = self.maximumViewportSize().width() - self.verticalScrollBar().sizeHint().width() - 1
        width = room // max(1, room // _LEAST_WIDTH)
        self.setGridSize(QSize(width, round((width - 2 * _GAP) * _SHAPE) + self._text_room + 2 * _GAP))
        super().resizeEvent(event)

    def _pick(self, index: _Index) -> None:
        result = index.data(RESULT_ROLE)
        if isinstance(result, Result):
            self.result_picked.emit(result)

    def _open(self, index: QModelIndex) -> None:
        result = index.data(RESULT_ROLE)
        if isinstance(result, Result):
            self.open_wanted.emit(result.path)

    def _show_menu(self, at: QPoint) -> None:
        result = self.indexAt(at).data(RESULT_ROLE)
        if not isinstance(result, Result):
            return
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(say(Text.OPEN)).triggered.connect(lambda: self.open_wanted.emit(result.path))
        menu.addAction(say(Text.SHOW_IN_FOLDER)).triggered.connect(
            lambda: self.reveal_wanted.emit(result.path)
        )
        menu.popup(self.viewport().mapToGlobal(at))


class _ResultDelegate(QStyledItemDelegate):
    def __init__(self, pictures: Pictures, grid: ResultsGrid) -> None:
        super().__init__(grid)
        self._pictures = pictures
        self._grid = grid

    def sizeHint(self, _option: QStyleOptionViewItem, _index: _Index) -> QSize:  # noqa: N802
        return self._grid.gridSize()

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        result = index.data(RESULT_ROLE)
        if not isinstance(result, Result):
            return
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        card = QRectF(option.rect).adjusted(_GAP, _GAP, -_GAP, -_GAP)
        picture = card.adjusted(0, 0, 0, -self._grid.text_room)
        draw_cover(painter, picture, self._pictures.get(result.path, CARD_SIDE))
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        if selected or option.state & QStyle.StateFlag.State_MouseOver:
            painter.setPen(QPen(Ink.AMBER if selected else Ink.FAINT, 2 if selected else 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(picture, 6, 6)
        font = small_font(option.font)
        painter.setFont(font)
        painter.setPen(Ink.TEXT if selected else Ink.SOFT)
        room = card.adjusted(0, card.height() - self._grid.text_room + 2, 0, 0)
        name = QFontMetrics(font).elidedText(result.name, Qt.TextElideMode.ElideMiddle, int(room.width()))
        painter.drawText(room, Qt.AlignmentFlag.AlignCenter, name)
        painter.restore()
