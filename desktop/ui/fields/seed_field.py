"""A seed, and dice for another one."""

from PySide6.QtCore import QRandomGenerator, QRegularExpression
from PySide6.QtGui import QRegularExpressionValidator
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QToolButton, QWidget

from desktop.ui.fields.field import Field
from desktop.ui.icon_set import icon
from desktop.ui.messages import Text, say
from shared.errors import JsonValue

__all__ = ["SeedField"]


class SeedField(Field):
    """A seed has up to 64 bits, more than a spin box holds; the dice stay within the limits."""

    def __init__(self, *, largest: float | None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._largest = 2**32 - 1 if largest is None else min(2**32 - 1, int(largest))
        self._line = QLineEdit()
        self.editor = self._line
        self._line.setValidator(QRegularExpressionValidator(QRegularExpression(r"\d{1,20}"), self))
        self._line.textEdited.connect(self._typed)
        self._dice = QToolButton()
        self._dice.setIcon(icon("dice"))
        self._dice.setToolTip(say(Text.NEW_SEED))
        self._dice.setAccessibleName(say(Text.NEW_SEED))
        self._dice.clicked.connect(self._throw)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self._line, 1)
        layout.addWidget(self._dice)

    def show_value(self, value: JsonValue) -> None:
        if str(value) != self._line.text():
            self._line.setText("" if value is None else str(value))

    def _typed(self, text: str) -> None:
        self.edited.emit(int(text) if text else None)

    def _throw(self) -> None:
        seed = QRandomGenerator.global_().generate64() % (self._largest + 1)
        self._line.setText(str(seed))
        self.edited.emit(seed)
