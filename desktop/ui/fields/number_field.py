"""A number: a slider over the usual range beside a box over the allowed one."""

import math

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import QDoubleSpinBox, QHBoxLayout, QSlider, QSpinBox, QWidget

from desktop.ui.fields.field import Field, WheelGuard
from shared.errors import JsonValue
from shared.presets.parameter import Parameter, ParameterType

__all__ = ["NumberField"]

_MAX_INT = 2**31 - 1
_MAX_FLOAT = 1e9
_SLIDER_STEPS = 1000


class NumberField(Field):
    """The slider stays within `soft_min` to `soft_max`; the box lets any allowed number in."""

    def __init__(self, parameter: Parameter, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._whole = parameter.type is ParameterType.INT
        self._box = _int_box(parameter) if self._whole else _float_box(parameter)
        self.editor = self._box
        self._box.setAccelerated(True)
        self._box.setKeyboardTracking(False)
        self._box.setSuffix(_suffix(parameter))
        self._box.setFixedWidth(92)
        self._box.setAlignment(Qt.AlignmentFlag.AlignRight)
        self._range = _slider_range(parameter)
        self._slider = QSlider(Qt.Orientation.Horizontal)
        self._slider.setAccessibleName(parameter.label)
        self._slider.setMinimumWidth(80)
        self._guard = WheelGuard(self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(10)
        if self._range is None:
            self._slider.hide()
            layout.addStretch(1)
        else:
            self._slider.setRange(0, self._steps(parameter, *self._range))
            self._slider.valueChanged.connect(self._slid)
            layout.addWidget(self._slider, 1)
            self._guard.guard(self._slider)
        layout.addWidget(self._box)
        self._guard.guard(self._box)
        self._box.valueChanged.connect(self._typed)

    def show_value(self, value: JsonValue) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return
        with QSignalBlocker(self._box):
            if isinstance(self._box, QSpinBox):
                self._box.setValue(round(value))
            else:
                self._box.setValue(float(value))
        self._place_slider(value)

    def _slid(self, position: int) -> None:
        if self._range is None:
            return
        low, high = self._range
        value = low + (high - low) * position / max(self._slider.maximum(), 1)
        with QSignalBlocker(self._box):
            if isinstance(self._box, QSpinBox):
                self._box.setValue(round(value))
            else:
                self._box.setValue(value)
        self.edited.emit(self._box.value())

    def _typed(self, value: float) -> None:
        self._place_slider(value)
        self.edited.emit(value)

    def _place_slider(self, value: float) -> None:
        if self._range is None:
            return
        low, high = self._range
        share = (value - low) / (high - low)
        with QSignalBlocker(self._slider):
            self._slider.setValue(round(min(1.0, max(0.0, share)) * self._slider.maximum()))

    def _steps(self, parameter: Parameter, low: float, high: float) -> int:
        step = parameter.step or (1.0 if self._whole else 0.0)
        return min(_SLIDER_STEPS, max(1, round((high - low) / step))) if step else _SLIDER_STEPS


def _slider_range(parameter: Parameter) -> tuple[float, float] | None:
    low = parameter.soft_min if parameter.soft_min is not None else parameter.min
    high = parameter.soft_max if parameter.soft_max is not None else parameter.max
    return None if low is None or high is None or low >= high else (low, high)


def _int_box(parameter: Parameter) -> QSpinBox:
    box = QSpinBox()
    box.setRange(
        -_MAX_INT if parameter.min is None else max(-_MAX_INT, math.ceil(parameter.min)),
        _MAX_INT if parameter.max is None else min(_MAX_INT, math.floor(parameter.max)),
    )
    box.setSingleStep(max(1, round(parameter.step or 1)))
    return box


def _float_box(parameter: Parameter) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    step = parameter.step or 0.01
    box.setDecimals(min(6, max(1, math.ceil(-math.log10(step)))) if step < 1 else 1)
    box.setRange(
        -_MAX_FLOAT if parameter.min is None else parameter.min,
        _MAX_FLOAT if parameter.max is None else parameter.max,
    )
    box.setSingleStep(step)
    return box


def _suffix(parameter: Parameter) -> str:
    unit = parameter.unit or ("s" if parameter.type is ParameterType.DURATION else "")
    return f" {unit}" if unit else ""
