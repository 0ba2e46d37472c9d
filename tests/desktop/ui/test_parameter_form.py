from collections.abc import Callable
from typing import TypeVar

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QFocusEvent, QWheelEvent
from PySide6.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QSlider,
    QSpinBox,
    QToolButton,
    QWidget,
)
from pytestqt.qtbot import QtBot

from desktop.state.form import Form
from desktop.ui.widgets.parameter_form import ParameterForm
from shared.errors import JsonValue
from shared.presets.parameter import Choice, Condition, Level, Parameter, ParameterType
from tests.desktop.window import GLOW, RULES

_W = TypeVar("_W", bound=QWidget)
Shown = Callable[..., ParameterForm]

_DEFAULTS: dict[ParameterType, JsonValue] = {
    ParameterType.INT: 3,
    ParameterType.FLOAT: 0.5,
    ParameterType.BOOL: False,
    ParameterType.TEXT: "one",
    ParameterType.PROMPT: "a cup",
    ParameterType.ENUM: "warm",
    ParameterType.MODEL: "base.safetensors",
    ParameterType.LORA_LIST: [],
    ParameterType.SEED: 2**63,
    ParameterType.COLOR: "#102030",
    ParameterType.SIZE: [640, 480],
    ParameterType.DURATION: 2.5,
}


def _parameter(kind: ParameterType, **more: object) -> Parameter:
    choices = (Choice("warm", "Warm"), Choice("cool", "Cool")) if kind is ParameterType.ENUM else ()
    fields = {"id": "it", "type": kind, "label": "It", "help": "What it does.", "default": _DEFAULTS[kind]}
    return Parameter(**{"choices": choices, **fields, **more})


@pytest.fixture
def show(qtbot: QtBot) -> Shown:
    def show(*parameters: Parameter) -> ParameterForm:
        form = Form()
        form.use(RULES)
        shown = ParameterForm(form)
        qtbot.addWidget(shown)
        form.show(parameters, {})
        shown.resize(300, 400)
        shown.show()
        return shown

    return show


def _only(inside: QWidget, kind: type[_W]) -> _W:
    (found,) = (child for child in inside.findChildren(kind) if child.isVisibleTo(inside))
    return found


@pytest.mark.parametrize("kind", list(ParameterType))
def test_every_type_has_an_editor_that_changes_nothing_by_being_shown(
    kind: ParameterType, show: Shown
) -> None:
    form = show(_parameter(kind))

    assert form.row("it").editor.accessibleName() == "It"
    assert form.values == {"it": _DEFAULTS[kind]}


def test_slider_and_box_agree(show: Shown, qtbot: QtBot) -> None:
    form = show(GLOW)
    slider, box = _only(form, QSlider), _only(form, QSpinBox)

    slider.setValue(70)
    assert (box.value(), form.values) == (70, {"glow": 70})
    box.setValue(20)
    assert (slider.value(), form.values) == (20, {"glow": 20})
    assert box.suffix() == " %"


def test_the_box_goes_beyond_the_slider(show: Shown) -> None:
    form = show(_parameter(ParameterType.FLOAT, min=0, max=10, soft_min=0, soft_max=1, step=0.01))
    slider, box = _only(form, QSlider), _only(form, QDoubleSpinBox)

    box.setValue(4.25)
    assert form.values == {"it": 4.25}
    assert slider.value() == slider.maximum()
    box.setValue(99)
    assert form.values == {"it": 10}


def test_texts_choices_and_switches_are_edited(show: Shown, qtbot: QtBot) -> None:
    form = show(
        _parameter(ParameterType.TEXT, id="text"),
        _parameter(ParameterType.PROMPT, id="prompt"),
        _parameter(ParameterType.ENUM, id="enum"),
        _parameter(ParameterType.BOOL, id="bool"),
    )
    line = _only(form, QLineEdit)
    line.clear()
    qtbot.keyClicks(line, "Two")
    _only(form, QPlainTextEdit).setPlainText("a red cup")
    combo = _only(form, QComboBox)
    qtbot.keyClick(combo, Qt.Key.Key_Down)
    combo.activated.emit(combo.currentIndex())
    _only(form, QCheckBox).click()

    assert form.values == {"text": "Two", "prompt": "a red cup", "enum": "cool", "bool": True}


def test_a_seed_of_64_bits_is_kept_and_the_dice_change_it(show: Shown, qtbot: QtBot) -> None:
    form = show(_parameter(ParameterType.SEED))
    line = _only(form, QLineEdit)
    assert line.text() == str(2**63)

    dice = next(button for button in form.findChildren(QToolButton) if "dice" in button.toolTip())
    dice.click()

    assert form.values == {"it": int(line.text())}
    assert int(line.text()) < 2**32


def test_sizes_and_loras_keep_their_form(show: Shown, qtbot: QtBot) -> None:
    form = show(_parameter(ParameterType.SIZE, id="size"), _parameter(ParameterType.LORA_LIST, id="loras"))
    form.row("size").findChildren(QSpinBox)[1].setValue(720)
    form.row("loras").editor.click()
    qtbot.keyClicks(form.row("loras").findChildren(QLineEdit)[0], "film.safetensors")
    form.row("loras").findChildren(QDoubleSpinBox)[0].setValue(0.6)

    assert form.values == {"size": [640, 720], "loras": [{"name": "film.safetensors", "strength": 0.6}]}


def test_what_is_wrong_stands_at_the_field(show: Shown, qtbot: QtBot) -> None:
    form = show(_parameter(ParameterType.TEXT, max_length=5))
    line = _only(form, QLineEdit)

    qtbot.keyClicks(line, " is too long")
    told = [label.text() for label in form.findChildren(QLabel) if label.property("look") == "trouble"]
    assert len(told) == 1
    assert "at most 5" in told[0]
    assert line.property("problem") == "yes"

    line.selectAll()
    qtbot.keyClicks(line, "fine")
    assert line.property("problem") == "no"


def test_a_changed_value_can_be_reset(show: Shown, qtbot: QtBot) -> None:
    form = show(GLOW)
    reset = _reset_of(form)
    assert not reset.isVisibleTo(form)

    _only(form, QSpinBox).setValue(80)
    assert reset.isVisibleTo(form)
    assert reset.toolTip() == "Reset to 50"
    reset.click()

    assert form.values == {"glow": 50}
    assert _only(form, QSpinBox).value() == 50


def test_rows_come_and_go_with_their_condition(show: Shown) -> None:
    form = show(
        _parameter(ParameterType.BOOL, id="on"),
        _parameter(ParameterType.TEXT, id="words", visible_when=Condition("on", (True,))),
    )
    assert not form.row("words").isVisibleTo(form)

    _only(form, QCheckBox).click()

    assert form.row("words").isVisibleTo(form)


def test_advanced_settings_are_disclosed(show: Shown) -> None:
    form = show(GLOW, _parameter(ParameterType.SEED, level=Level.ADVANCED))
    assert not form.row("it").isVisibleTo(form)

    next(button for button in form.findChildren(QToolButton) if button.text() == "Advanced").click()

    assert form.row("it").isVisibleTo(form)


def test_the_wheel_scrolls_the_form_and_changes_no_value(show: Shown) -> None:
    form = show(GLOW)
    wheel = QWheelEvent(
        QPointF(5, 5), QPointF(5, 5), QPoint(), QPoint(0, 120),
        Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(_only(form, QSlider), wheel)

    assert form.values == {"glow": 50}


def test_help_is_told_where_the_keyboard_is(show: Shown, qtbot: QtBot) -> None:
    form = show(GLOW)
    with qtbot.waitSignal(form.help_wanted, check_params_cb=lambda text: text == GLOW.help):
        QApplication.sendEvent(_only(form, QSpinBox), QFocusEvent(QEvent.Type.FocusIn))


def _reset_of(form: ParameterForm) -> QToolButton:
    return next(button for button in form.findChildren(QToolButton) if "Reset" in button.toolTip())
