"""The product's name under its lamp."""

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QHBoxLayout, QLabel, QWidget

from desktop.ui.icon_set import app_icon
from desktop.ui.messages import Text, say
from desktop.ui.theme import title_font

__all__ = ["Brand"]

_SIDE = 26


class Brand(QWidget):
    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        lamp, name, line = QLabel(), QLabel(say(Text.APP)), QLabel(say(Text.PRODUCT_LINE))
        lamp.setPixmap(app_icon().pixmap(QSize(_SIDE, _SIDE), self.devicePixelRatioF()))
        name.setFont(title_font(self.font(), points=2))
        line.setProperty("look", "faint")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(2, 0, 2, 0)
        layout.setSpacing(8)
        layout.addWidget(lamp)
        layout.addWidget(name)
        layout.addWidget(line, 1)
