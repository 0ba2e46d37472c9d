"""Yes or no."""

from PySide6.QtCore import QSignalBlocker
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QWidget

from desktop.ui.fields.field import Field
from shared.errors import JsonValue

__all__ = ["ToggleField"]


class ToggleField(Field):
    """Carries its own label, beside the box."""

    def __init__(self, label: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._box = QCheckBox(label.replace("&", "&&"))
        self.editor = self._box
        self._box.toggled.connect(self.edited.emit)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)
        layout.addStretch(1)

    def show_value(self, value: JsonValue) -> None:
        with QSignalBlocker(self._box):
            self._box.setChecked(value is True)
