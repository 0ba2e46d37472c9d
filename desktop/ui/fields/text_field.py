"""Text on one line, and a prompt on several."""

from PySide6.QtCore import QSignalBlocker
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QPlainTextEdit, QWidget

from desktop.ui.fields.field import Field
from shared.errors import JsonValue

__all__ = ["PromptField", "TextField"]

_PROMPT_LINES = 4


class TextField(Field):
    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._line = QLineEdit()
        self.editor = self._line
        self._line.textEdited.connect(self.edited.emit)
        _fill(self, self._line)

    def show_value(self, value: JsonValue) -> None:
        if value != self._line.text():
            self._line.setText("" if value is None else str(value))


class PromptField(Field):
    """Tab leaves the field; too long a text is kept and marked, never cut."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = QPlainTextEdit()
        self.editor = self._text
        self._text.setTabChangesFocus(True)
        self._text.setFixedHeight(self._text.fontMetrics().lineSpacing() * _PROMPT_LINES + 16)
        self._text.textChanged.connect(self._typed)
        _fill(self, self._text)

    def show_value(self, value: JsonValue) -> None:
        if value != self._text.toPlainText():
            with QSignalBlocker(self._text):
                self._text.setPlainText("" if value is None else str(value))

    def _typed(self) -> None:
        self.edited.emit(self._text.toPlainText())


def _fill(field: Field, editor: QWidget) -> None:
    layout = QHBoxLayout(field)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addWidget(editor)
