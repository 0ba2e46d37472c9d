"""A list of LoRAs, each with its strength."""

from collections.abc import Mapping

from PySide6.QtWidgets import (
    QDoubleSpinBox,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from desktop.ui.fields.field import Field, WheelGuard
from desktop.ui.icon_set import icon
from desktop.ui.messages import Text, say
from shared.errors import JsonValue
from shared.presets.parameter import Parameter

__all__ = ["LoraField"]


class LoraField(Field):
    """The value is a list of `{name, strength}`; the parameter's limits hold for each strength."""

    def __init__(self, parameter: Parameter, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._parameter = parameter
        self._guard = WheelGuard(self)
        self._rows: list[tuple[QWidget, QLineEdit, QDoubleSpinBox]] = []
        self._add = QPushButton(say(Text.ADD_LORA))
        self.editor = self._add
        self._add.setProperty("look", "link")
        self._add.clicked.connect(self._add_empty)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(6)
        self._layout.addWidget(self._add)

    def show_value(self, value: JsonValue) -> None:
        if value == self._value():
            return
        while self._rows:
            self._drop(self._rows[0][0])
        for entry in value if isinstance(value, list | tuple) else ():
            match entry:
                case {"name": str(name), **rest}:
                    strength = rest.get("strength", 1.0)
                    self._append(name, strength if isinstance(strength, int | float) else 1.0)
                case _:
                    continue

    def _value(self) -> list[Mapping[str, JsonValue]]:
        return [{"name": name.text(), "strength": strength.value()} for _, name, strength in self._rows]

    def _append(self, name: str, strength: float) -> None:
        row = QWidget()
        line, box, remove = QLineEdit(name), QDoubleSpinBox(), QToolButton()
        line.setPlaceholderText(say(Text.LORA_FILE))
        line.setAccessibleName(say(Text.LORA_FILE))
        box.setRange(
            -4.0 if self._parameter.min is None else self._parameter.min,
            4.0 if self._parameter.max is None else self._parameter.max,
        )
        box.setSingleStep(0.05)
        box.setValue(strength)
        box.setAccessibleName(say(Text.STRENGTH))
        self._guard.guard(box)
        remove.setIcon(icon("cancel"))
        remove.setToolTip(say(Text.REMOVE_LORA))
        remove.setAccessibleName(say(Text.REMOVE_LORA))
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(line, 1)
        layout.addWidget(box)
        layout.addWidget(remove)
        line.textEdited.connect(self._tell)
        box.valueChanged.connect(self._tell)
        remove.clicked.connect(lambda: self._remove(row))
        self._rows.append((row, line, box))
        self._layout.insertWidget(len(self._rows) - 1, row)

    def _add_empty(self) -> None:
        self._append("", 1.0)
        self._rows[-1][1].setFocus()
        self._tell()

    def _remove(self, row: QWidget) -> None:
        self._drop(row)
        self._tell()

    def _drop(self, row: QWidget) -> None:
        self._rows = [entry for entry in self._rows if entry[0] is not row]
        self._layout.removeWidget(row)
        row.deleteLater()

    def _tell(self) -> None:
        self.edited.emit(self._value())
