"""A size in pixels: width × height."""

from collections.abc import Sequence

from PySide6.QtCore import QSignalBlocker
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSpinBox, QWidget

from desktop.ui.fields.field import Field, WheelGuard
from desktop.ui.messages import Text, say
from shared.errors import JsonValue
from shared.presets.parameter import Parameter

__all__ = ["SizeField"]

_MAX_SIDE = 32768


class SizeField(Field):
    """The value is `[width, height]`; the parameter's limits hold for each side."""

    def __init__(self, parameter: Parameter, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._guard = WheelGuard(self)
        self._width = self._side(parameter, say(Text.WIDTH))
        self.editor = self._width
        self._height = self._side(parameter, say(Text.HEIGHT))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self._width, 1)
        layout.addWidget(QLabel("×"))
        layout.addWidget(self._height, 1)

    def show_value(self, value: JsonValue) -> None:
        match value:
            case [int(width), int(height)]:
                for box, side in ((self._width, width), (self._height, height)):
                    with QSignalBlocker(box):
                        box.setValue(side)
            case _:
                return

    def _side(self, parameter: Parameter, name: str) -> QSpinBox:
        box = QSpinBox()
        box.setRange(int(parameter.min or 1), int(parameter.max or _MAX_SIDE))
        box.setSingleStep(int(parameter.step or 1))
        box.setSuffix(" px")
        box.setKeyboardTracking(False)
        box.setAccessibleName(f"{parameter.label}: {name}")
        box.valueChanged.connect(self._changed)
        self._guard.guard(box)
        return box

    def _changed(self, _side: int) -> None:
        size: Sequence[int] = [self._width.value(), self._height.value()]
        self.edited.emit(size)
