"""One parameter of the form: label, editor, way back to the default, and what is wrong."""

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QEnterEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from desktop.state.form import Form
from desktop.ui.fields.factory import field_for
from desktop.ui.fields.toggle_field import ToggleField
from desktop.ui.icon_set import icon
from desktop.ui.messages import Text, say
from shared.errors import JsonValue
from shared.presets.parameter import Parameter

__all__ = ["ParameterRow"]


class ParameterRow(QWidget):
    help_wanted = Signal(str)

    def __init__(self, parameter: Parameter, form: Form, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.parameter = parameter
        self._form = form
        self._field = field_for(parameter)
        self._reset = self._reset_button()
        self._trouble = QLabel()
        self._trouble.setTextFormat(Qt.TextFormat.PlainText)
        self._trouble.setProperty("look", "trouble")
        self._trouble.setWordWrap(True)
        self._arrange()
        editor = self._field.editor
        editor.setAccessibleName(parameter.label)
        editor.setAccessibleDescription(parameter.help)
        editor.setToolTip(parameter.help)
        editor.installEventFilter(self)
        self._field.edited.connect(self._edited)
        self.refresh()

    @property
    def editor(self) -> QWidget:
        return self._field.editor

    def refresh(self) -> None:
        """Show the form's value, unless it is the one already shown."""
        self._field.show_value(self._form.values[self.parameter.id])
        self._show_state()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        if event.type() == QEvent.Type.FocusIn:
            self.help_wanted.emit(self.parameter.help)
        return super().eventFilter(watched, event)

    def enterEvent(self, event: QEnterEvent) -> None:  # noqa: N802
        self.help_wanted.emit(self.parameter.help)
        super().enterEvent(event)

    def _arrange(self) -> None:
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(3)
        top = QHBoxLayout()
        top.setSpacing(4)
        if isinstance(self._field, ToggleField):
            top.addWidget(self._field, 1)
            top.addWidget(self._reset)
            rows.addLayout(top)
        else:
            label = QLabel(self.parameter.label)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setBuddy(self._field.editor)
            label.setToolTip(self.parameter.help)
            top.addWidget(label, 1)
            top.addWidget(self._reset)
            rows.addLayout(top)
            rows.addWidget(self._field)
        rows.addWidget(self._trouble)

    def _reset_button(self) -> QToolButton:
        button = QToolButton()
        button.setIcon(icon("reset"))
        button.setFixedSize(22, 22)
        policy = button.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        button.setSizePolicy(policy)
        text = say(Text.RESET, value=_plain(self.parameter.default))
        button.setToolTip(text)
        button.setAccessibleName(f"{self.parameter.label}: {text}")
        button.clicked.connect(self._on_reset)
        return button

    def _edited(self, value: JsonValue) -> None:
        self._form.set(self.parameter.id, value)
        self._show_state()

    def _on_reset(self) -> None:
        self._form.reset(self.parameter.id)
        self.editor.setFocus()

    def _show_state(self) -> None:
        problem = self._form.problem(self.parameter.id)
        self._trouble.setText(problem or "")
        self._trouble.setVisible(problem is not None)
        self._field.show_problem(wrong=problem is not None)
        self._reset.setVisible(not self._form.is_default(self.parameter.id))


def _plain(value: JsonValue) -> str:
    """A value as a person would write it."""
    match value:
        case bool():
            return say(Text.ON if value else Text.OFF)
        case float():
            return f"{value:g}"
        case Sequence() if not isinstance(value, str):
            return " × ".join(_plain(part) for part in value) or "–"
        case None | "":
            return "–"
        case _:
            return str(value)
