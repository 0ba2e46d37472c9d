"""A colour as #rrggbb."""

from PySide6.QtGui import QColor, QIcon, QPixmap
from PySide6.QtWidgets import QColorDialog, QHBoxLayout, QLineEdit, QPushButton, QWidget

from desktop.ui.fields.field import Field
from desktop.ui.messages import Text, say
from shared.errors import JsonValue

__all__ = ["ColorField"]


class ColorField(Field):
    def __init__(self, label: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._label = label
        self._swatch = QPushButton()
        self._swatch.setFixedWidth(44)
        self._swatch.setToolTip(say(Text.PICK_COLOR))
        self._swatch.setAccessibleName(say(Text.PICK_COLOR))
        self._swatch.clicked.connect(self._pick)
        self._line = QLineEdit()
        self.editor = self._line
        self._line.setMaxLength(9)
        self._line.textEdited.connect(self._typed)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self._swatch)
        layout.addWidget(self._line, 1)

    def show_value(self, value: JsonValue) -> None:
        text = value if isinstance(value, str) else ""
        if text != self._line.text():
            self._line.setText(text)
        self._paint_swatch(text)

    def _typed(self, text: str) -> None:
        self._paint_swatch(text)
        self.edited.emit(text)

    def _pick(self) -> None:
        dialog = QColorDialog(QColor(self._line.text()), self)
        dialog.setWindowTitle(self._label)
        dialog.setOption(QColorDialog.ColorDialogOption.DontUseNativeDialog)
        dialog.colorSelected.connect(self._picked)
        dialog.open()

    def _picked(self, colour: QColor) -> None:
        self.show_value(colour.name())
        self.edited.emit(colour.name())

    def _paint_swatch(self, text: str) -> None:
        swatch = QPixmap(24, 14)
        swatch.fill(QColor(text) if QColor.isValidColorName(text) else QColor("transparent"))
        self._swatch.setIcon(QIcon(swatch))
        self._swatch.setIconSize(swatch.size())
