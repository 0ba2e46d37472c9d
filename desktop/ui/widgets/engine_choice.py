"""Where the work is done, and whether that place answers."""

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtGui import QPaintEvent
from PySide6.QtWidgets import (
    QComboBox,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QWidget,
)

from desktop.state.session import Session
from desktop.ui.icon_set import icon
from desktop.ui.messages import Text, plain, say
from desktop.ui.theme import Ink

__all__ = ["EngineChoice"]

_NAMES = {
    "auto": Text.ENGINE_AUTO,
    "builtin": Text.ENGINE_BUILTIN,
    "comfy": Text.ENGINE_COMFY,
    "cloud": Text.ENGINE_CLOUD,
}
_ICON_GAP = 8
_SIGNS = {"auto": "instant", "builtin": "picture", "comfy": "server", "cloud": "cloud"}


class EngineChoice(QComboBox):
    """An engine that does not answer may still be chosen: its jobs wait for it."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(plain(Text.ENGINE))
        for name, text in _NAMES.items():
            self.addItem(icon(_SIGNS[name]), say(text), name)
        self.activated.connect(self._chosen)
        session.engines_changed.connect(self._show)
        session.destination_changed.connect(self._show)
        self._show()

    def showPopup(self) -> None:  # noqa: N802
        self._session.refresh_wanted.emit()
        super().showPopup()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802
        """As the stock one, but a text that has no room ends in dots."""
        painter = QStylePainter(self)
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        field = QStyle.SubControl.SC_ComboBoxEditField
        room = self.style().subControlRect(QStyle.ComplexControl.CC_ComboBox, option, field, self)
        width = room.width() - self.iconSize().width() - _ICON_GAP
        option.currentText = self.fontMetrics().elidedText(
            option.currentText, Qt.TextElideMode.ElideRight, width
        )
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)

    def _chosen(self, index: int) -> None:
        self._session.choose_engine(str(self.itemData(index)))

    def _show(self) -> None:
        known = {engine.name: engine for engine in self._session.engines}
        with QSignalBlocker(self):
            for index, (name, text) in enumerate(_NAMES.items()):
                engine = known.get(name)
                missing = engine is not None and not engine.reachable
                words = say(text)
                self.setItemText(index, say(Text.ENGINE_UNREACHABLE, name=words) if missing else words)
                self.setItemIcon(index, icon(_SIGNS[name], Ink.FAINT if missing else Ink.SOFT))
                self.setItemData(index, engine.detail if engine else "", Qt.ItemDataRole.ToolTipRole)
            self.setCurrentIndex(self.findData(self._session.engine))
        self.setToolTip(str(self.currentData(Qt.ItemDataRole.ToolTipRole) or ""))
