"""What the window shows for the moment until its desk is there."""

from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from desktop.ui.messages import Text, say
from desktop.ui.theme import title_font

__all__ = ["Opening"]

_SIDES = (300, 320)


class Opening(QWidget):
    """The same columns in the same greys, so that nothing jumps when they are filled."""

    def __init__(self) -> None:
        super().__init__()
        word, name = QLabel(say(Text.LOADING)), QLabel(say(Text.APP))
        word.setProperty("look", "muted")
        name.setFont(title_font(self.font(), points=2))
        columns = QHBoxLayout(self)
        columns.setContentsMargins(0, 0, 0, 0)
        columns.setSpacing(2)
        columns.addWidget(_panel(_SIDES[0], name))
        middle = QVBoxLayout()
        middle.addStretch(1)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(word)
        row.addStretch(1)
        middle.addLayout(row)
        middle.addStretch(1)
        columns.addLayout(middle, 1)
        columns.addWidget(_panel(_SIDES[1], None))


def _panel(width: int, name: QLabel | None) -> QFrame:
    panel = QFrame()
    panel.setProperty("look", "panel")
    panel.setFixedWidth(width)
    layout = QVBoxLayout(panel)
    layout.setContentsMargins(48, 12, 12, 12)
    if name is not None:
        layout.addWidget(name)
    layout.addStretch(1)
    return panel
