"""The chosen preset: what it is, its form, and the button that begins."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from desktop.state.session import Session
from desktop.ui.messages import Text, counted, linked, say, sentence
from desktop.ui.theme import small_font, title_font
from desktop.ui.widgets.destination import Destination
from desktop.ui.widgets.parameter_form import ParameterForm
from desktop.views import PresetView

__all__ = ["DevelopPanel"]

_HELP_LINES = 2


class DevelopPanel(QFrame):
    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.setProperty("look", "panel")
        self._name = QLabel()
        self._name.setTextFormat(Qt.TextFormat.PlainText)
        self._name.setFont(title_font(self.font(), points=3))
        self._summary, self._trouble = _wrapped("muted"), _wrapped("trouble")
        self._trouble.setTextFormat(Qt.TextFormat.RichText)
        self._trouble.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self._trouble.setOpenExternalLinks(True)
        self.trouble = ""
        self._chips = tuple(_chip() for _ in range(3))
        self.form = ParameterForm(session.form)
        self.form.help_wanted.connect(self._show_help)
        self._help = _wrapped("faint")
        self._help.setFont(small_font(self.font()))
        self._help.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._help.setFixedHeight(self._help.fontMetrics().lineSpacing() * _HELP_LINES + 4)
        self._reset = QPushButton(say(Text.RESET_ALL))
        self._reset.setProperty("look", "link")
        self._reset.setToolTip(say(Text.RESET_ALL_HELP))
        self._reset.clicked.connect(session.form.reset_all)
        self.develop = QPushButton(say(Text.DEVELOP))
        self.develop.setProperty("look", "primary")
        for button in (self._reset, self.develop):
            button.setAutoDefault(True)  # Enter presses it, as the space bar does
        self.develop.clicked.connect(session.develop)
        self._why = _wrapped("muted")
        self._why.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._arrange(Destination(session))
        session.preset_changed.connect(self._show_preset)
        session.form.changed.connect(self._show_button)
        session.form.changed.connect(self._show_reset)
        session.form.replaced.connect(self._show_reset)
        session.form.replaced.connect(self._order_tabs)
        for signal in (
            session.sources.changed,
            session.ready_changed,
            session.preset_changed,
            session.engines_changed,
            session.destination_changed,
        ):
            signal.connect(self._show_button)
        self._show_preset()
        self._show_button()
        self._show_reset()

    @property
    def advice(self) -> str:
        """What to do next, as the user reads it."""
        return self._why.text()

    def _show_preset(self) -> None:
        preset = self._session.preset
        if preset is None:
            return
        self._name.setText(preset.name)
        self._summary.setText(preset.summary)
        self.trouble = sentence(preset.unavailable or "")
        self._trouble.setText(linked(self.trouble))
        self._trouble.setVisible(preset.unavailable is not None)
        self._show_chips(preset)
        self._show_help("")

    def _show_chips(self, preset: PresetView) -> None:
        kind = Text.INSTANT if preset.instant else Text.AI
        why = Text.INSTANT_HELP if preset.instant else Text.AI_HELP
        words = (
            (say(kind), say(why)),
            (preset.category, ""),
            (preset.licence, say(Text.LICENCE, licence=preset.licence)),
        )
        for chip, (text, help_text) in zip(self._chips, words, strict=True):
            chip.setText(text)
            chip.setToolTip(help_text)
            chip.setVisible(bool(text))

    def _show_help(self, text: str) -> None:
        self._help.setText(text or (say(Text.HELP_HINT) if self._session.form.parameters else ""))

    def _show_button(self) -> None:
        n = len(self._session.sources.files)
        if self._session.developing:
            self.develop.setText(say(Text.DEVELOPING))
        else:
            self.develop.setText(counted(Text.DEVELOP_ONE, Text.DEVELOP_MANY, n) if n else say(Text.DEVELOP))
        self.develop.setEnabled(self._session.can_develop())
        why = self._why_not()
        self._why.setText(why)
        self._why.setVisible(bool(why))

    def _order_tabs(self) -> None:
        """A form made later would come last: it belongs between its preset and the button."""
        previous: QWidget = self._reset
        for widget in self.form.findChildren(QWidget):
            ours = widget.window() is self.window() and not isinstance(
                widget.parent(), QAbstractSpinBox | QComboBox
            )
            if ours and widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
                QWidget.setTabOrder(previous, widget)
                previous = widget

    def _show_reset(self) -> None:
        self._reset.setVisible(bool(self._session.form.own_values))

    def _why_not(self) -> str:
        """The one thing that stands between the user and the button."""
        session = self._session
        if not session.ready:
            return say(Text.WHY_STARTING)
        if session.preset is None:
            return say(Text.WHY_NO_PRESET)
        if session.preset.unavailable is not None:
            return ""
        if not session.sources.files:
            return say(Text.WHY_NO_PICTURES)
        return session.form.first_problem() or self._why_waiting()

    def _why_waiting(self) -> str:
        """What the chosen engine says while it cannot work: its jobs may be queued all the same."""
        chosen = next((one for one in self._session.engines if one.name == self._session.engine), None)
        if chosen is None or chosen.reachable:
            return ""
        return say(Text.WHY_WAITING, reason=sentence(chosen.detail))

    def _arrange(self, destination: QWidget) -> None:
        chips = QHBoxLayout()
        chips.setSpacing(6)
        for chip in self._chips:
            chips.addWidget(chip)
        chips.addStretch(1)
        head = QVBoxLayout()
        head.setContentsMargins(16, 14, 12, 8)
        head.setSpacing(6)
        top = QHBoxLayout()
        top.addWidget(self._name, 1)
        top.addWidget(self._reset)
        head.addLayout(top)
        head.addWidget(self._summary)
        head.addLayout(chips)
        head.addWidget(self._trouble)
        foot = QVBoxLayout()
        foot.setContentsMargins(16, 8, 16, 14)
        foot.setSpacing(10)
        foot.addWidget(self._help)
        foot.addWidget(_rule())
        foot.addWidget(destination)
        foot.addWidget(self.develop)
        foot.addWidget(self._why)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(head)
        layout.addWidget(self.form, 1)
        layout.addLayout(foot)


def _wrapped(look: str) -> QLabel:
    """Presets come from anywhere: their texts are no markup."""
    label = QLabel()
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setProperty("look", look)
    label.setWordWrap(True)
    return label


def _chip() -> QLabel:
    chip = QLabel()
    chip.setProperty("look", "chip")
    chip.setFont(small_font(chip.font()))
    chip.hide()
    return chip


def _rule() -> QFrame:
    rule = QFrame()
    rule.setProperty("look", "line")
    rule.setFixedHeight(1)
    return rule
