"""One of a list: a closed choice, or a model file."""

from PySide6.QtCore import QSignalBlocker
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QSizePolicy, QWidget

from desktop.ui.fields.field import Field, WheelGuard
from shared.errors import JsonValue
from shared.presets.parameter import Parameter

__all__ = ["ChoiceField"]


class ChoiceField(Field):
    """Without a list (no server has told its files yet) the name may be typed."""

    def __init__(self, parameter: Parameter, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._free = not parameter.choices
        self._combo = QComboBox()
        self.editor = self._combo
        self._combo.setEditable(self._free)
        self._combo.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        for choice in parameter.choices:
            self._combo.addItem(choice.label, choice.value)
        self._guard = WheelGuard(self)
        self._guard.guard(self._combo)
        if self._free:
            self._combo.editTextChanged.connect(self.edited.emit)
        else:
            self._combo.activated.connect(self._chosen)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo, 1)

    def show_value(self, value: JsonValue) -> None:
        with QSignalBlocker(self._combo):
            if self._free:
                if value != self._combo.currentText():
                    self._combo.setEditText("" if value is None else str(value))
            else:
                self._combo.setCurrentIndex(self._combo.findData(value))

    def _chosen(self, index: int) -> None:
        self.edited.emit(self._combo.itemData(index))
