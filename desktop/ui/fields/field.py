"""What every editor of a parameter has."""

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtWidgets import QAbstractSlider, QAbstractSpinBox, QComboBox, QWidget

__all__ = ["Field", "WheelGuard"]


class Field(QWidget):
    """Tells when the user changes the value; a value shown is no edit.

    `editor` takes the focus and the accessible name.
    """

    edited = Signal(object)  # JsonValue
    editor: QWidget

    def show_problem(self, *, wrong: bool) -> None:
        """Mark the editor; the sentence stands under the field."""
        self.editor.setProperty("problem", "yes" if wrong else "no")
        self.editor.style().unpolish(self.editor)
        self.editor.style().polish(self.editor)


class WheelGuard(QObject):
    """Keeps the wheel for scrolling the form: a value under the pointer must not change on the way."""

    def guard(self, widget: QWidget) -> None:
        widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        guarded = isinstance(watched, QAbstractSlider | QAbstractSpinBox | QComboBox)
        if guarded and event.type() == QEvent.Type.Wheel:
            event.ignore()
            return True
        return super().eventFilter(watched, event)
