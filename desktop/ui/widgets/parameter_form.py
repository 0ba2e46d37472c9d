"""The form of a preset, made from its parameters."""

from collections.abc import Mapping

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QLabel, QScrollArea, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from desktop.state.form import Form, Group, groups
from desktop.ui.icon_set import icon
from desktop.ui.messages import Text, say
from desktop.ui.widgets.parameter_row import ParameterRow
from shared.errors import JsonValue
from shared.presets.parameter import Level

__all__ = ["ParameterForm"]


class ParameterForm(QScrollArea):
    """Rebuilt for another preset; within one, rows only show, hide and change."""

    help_wanted = Signal(str)

    def __init__(self, form: Form, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._form = form
        self._rows: dict[str, ParameterRow] = {}
        self._headings: list[tuple[QLabel, tuple[str, ...]]] = []
        self._disclosed = False
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        form.replaced.connect(self._rebuild)
        form.changed.connect(self._changed)

    @property
    def values(self) -> Mapping[str, JsonValue]:
        return self._form.values

    def row(self, parameter_id: str) -> ParameterRow:
        return self._rows[parameter_id]

    def _rebuild(self) -> None:
        self._rows, self._headings = {}, []
        page = QWidget()
        # The style's least heights are for text of the usual size: larger rows are scrolled, not squeezed.
        page.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        layout = QVBoxLayout(page)
        layout.setContentsMargins(16, 4, 16, 12)
        layout.setSpacing(12)
        parts = groups(self._form.parameters)
        self._add_groups(layout, [group for group in parts if group.level is Level.BASIC])
        advanced = [group for group in parts if group.level is Level.ADVANCED]
        if advanced:
            self._add_advanced(layout, advanced)
        if not parts:
            layout.addWidget(_muted(say(Text.NO_PARAMETERS)))
        layout.addStretch(1)
        self.setWidget(page)
        self._show_rows()

    def _add_groups(self, layout: QVBoxLayout, parts: list[Group]) -> None:
        for group in parts:
            if group.name:
                heading = QLabel(group.name)
                heading.setTextFormat(Qt.TextFormat.PlainText)
                heading.setProperty("look", "heading")
                heading.setContentsMargins(0, 6, 0, 0)
                layout.addWidget(heading)
                self._headings.append((heading, tuple(parameter.id for parameter in group.parameters)))
            for parameter in group.parameters:
                row = ParameterRow(parameter, self._form)
                row.help_wanted.connect(self.help_wanted)
                self._rows[parameter.id] = row
                layout.addWidget(row)

    def _add_advanced(self, layout: QVBoxLayout, parts: list[Group]) -> None:
        box = QWidget()
        inner = QVBoxLayout(box)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(12)
        self._add_groups(inner, parts)
        toggle = QToolButton()
        toggle.setText(say(Text.ADVANCED))
        toggle.setProperty("look", "disclosure")
        toggle.setCheckable(True)
        toggle.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)

        def disclose(on: bool) -> None:
            self._disclosed = on
            toggle.setIcon(icon("chevron-down" if on else "chevron-right"))
            box.setVisible(on)

        toggle.toggled.connect(disclose)
        disclose(self._disclosed)
        toggle.setChecked(self._disclosed)
        layout.addWidget(toggle, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addWidget(box)

    def _changed(self, parameter_id: str) -> None:
        self._rows[parameter_id].refresh()
        self._show_rows()

    def _show_rows(self) -> None:
        for parameter_id, row in self._rows.items():
            row.setVisible(self._form.is_visible(parameter_id))
        for heading, members in self._headings:
            heading.setVisible(any(self._form.is_visible(member) for member in members))


def _muted(text: str) -> QLabel:
    label = QLabel(text)
    label.setProperty("look", "muted")
    label.setWordWrap(True)
    return label
