"""The viewer: the picture in the spotlight, before and after, and its zoom."""

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QStackedWidget, QToolButton, QVBoxLayout, QWidget

from desktop.state.picture import Picture
from desktop.state.pictures import Pictures
from desktop.state.spotlight import Spotlight, Subject
from desktop.ui.icon_set import icon
from desktop.ui.messages import Text, say
from desktop.ui.theme import title_font
from desktop.ui.widgets.compare_view import CompareView
from desktop.ui.widgets.elided_label import ElidedLabel
from desktop.ui.widgets.empty_state import EmptyState
from desktop.ui.widgets.trouble_strip import TroubleStrip

__all__ = ["ViewerPane"]

_SCREEN_SIDE = 2048
_FULL_SIDE = 8192


class ViewerPane(QFrame):
    """Reads pictures at screen size, and whole once the user looks closer than that."""

    def __init__(self, spotlight: Spotlight, pictures: Pictures, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._spotlight = spotlight
        self._pictures = pictures
        self._side = _SCREEN_SIDE
        self._shown: tuple[str, Path | None] | None = None
        self._held: dict[tuple[Path, int], Picture] = {}
        self._compare = CompareView()
        self._empty = EmptyState("compare", say(Text.NOTHING_SHOWN), say(Text.NOTHING_SHOWN_HINT))
        self._title = ElidedLabel()
        self._title.setFont(title_font(self.font(), points=0.5))
        self._zoom = QLabel()
        self._zoom.setProperty("look", "faint")
        self._buttons = self._tool_row()
        self.trouble = TroubleStrip()
        self._pages = QStackedWidget()
        self._pages.addWidget(self._empty)
        self._pages.addWidget(self._compare)
        self._arrange()
        self._compare.lens_changed.connect(self._lens_changed)
        spotlight.changed.connect(self._subject_changed)
        spotlight.preview_changed.connect(self._show)
        pictures.arrived.connect(self._arrived)
        self._show()

    @property
    def compare(self) -> CompareView:
        return self._compare

    @property
    def is_reading(self) -> bool:
        """Whether what should be shown is not on screen yet."""
        subject = self._spotlight.subject
        return subject is not None and self._shown != (subject.title, subject.before)

    def _subject_changed(self) -> None:
        self._side = _SCREEN_SIDE
        self._held.clear()
        self._show()

    def _show(self) -> None:
        """Keep what is on screen until the new pictures are read."""
        subject = self._spotlight.subject
        if subject is None:
            self._set_empty(say(Text.NOTHING_SHOWN), say(Text.NOTHING_SHOWN_HINT))
            return
        self._title.show_text(_title(subject))
        self.trouble.show_job(subject.job)
        before, after = self._read(subject.before), self._read(subject.after)
        preview = self._spotlight.preview
        if subject.after is None and preview is not None:
            after = Picture.whole(preview)
        waiting = (subject.before and before is None) or (subject.after and after is None)
        if waiting:
            if self._shown is None:
                self._set_empty(say(Text.READING), "")
            return
        before, after = _usable(before), _usable(after)
        if before is None and after is None:
            self._set_empty(say(Text.UNREADABLE), say(Text.UNREADABLE_HINT))
            return
        self._show_pictures(subject, before, after)

    def _show_pictures(self, subject: Subject, before: Picture | None, after: Picture | None) -> None:
        shown = (subject.title, subject.before)
        words = say(Text.AFTER if subject.after else Text.IN_PROGRESS)
        self._compare.show_pictures(
            before, after, captions=(say(Text.BEFORE), words), keep_lens=shown == self._shown
        )
        self._shown = shown
        self._pages.setCurrentWidget(self._compare)
        self._lens_changed()

    def _set_empty(self, title: str, hint: str) -> None:
        self._shown = None
        self._empty.say(title, hint)
        self._pages.setCurrentWidget(self._empty)
        self._lens_changed()

    def _read(self, path: Path | None) -> Picture | None:
        """Pictures shown are held here: two whole ones may be more than the store keeps."""
        if path is None:
            return None
        key = (path, self._side)
        picture = self._held.get(key) or self._pictures.get(*key)
        if picture is not None and picture.readable:
            self._held[key] = picture
        return picture

    def _arrived(self, path: Path, side: int) -> None:
        subject = self._spotlight.subject
        if subject is not None and side == self._side and path in (subject.before, subject.after):
            self._show()

    def _lens_changed(self) -> None:
        active = self._pages.currentWidget() is self._compare
        percent = self._compare.percent if active else None
        self._zoom.setText("" if percent is None else f"{percent} %")
        for button in self._buttons:
            button.setEnabled(active)
        if active and not self._compare.is_fitted and self._side != _FULL_SIDE:
            self._side = _FULL_SIDE
            self._held.clear()
            self._show()

    def _tool_row(self) -> tuple[QToolButton, ...]:
        fit = _tool(Text.FIT, Text.FIT_HELP, "fit")
        fit.clicked.connect(self._compare.fit)
        actual = _tool(Text.ACTUAL_SIZE, Text.ACTUAL_SIZE_HELP)
        actual.setAccessibleName(say(Text.ACTUAL_SIZE_NAME))
        actual.clicked.connect(self._compare.actual_size)
        original = _tool(Text.ORIGINAL, Text.ORIGINAL_HELP, "compare")
        original.pressed.connect(lambda: self._compare.show_original(True))
        original.released.connect(lambda: self._compare.show_original(False))
        return original, fit, actual

    def _arrange(self) -> None:
        bar = QHBoxLayout()
        bar.setContentsMargins(16, 8, 12, 8)
        bar.setSpacing(4)
        bar.addWidget(self._title, 1)
        bar.addSpacing(8)
        bar.addWidget(self._zoom)
        bar.addSpacing(8)
        for button in self._buttons:
            bar.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(bar)
        layout.addWidget(self.trouble)
        layout.addWidget(self._pages, 1)


def _tool(text: Text, help_text: Text, sign: str = "") -> QToolButton:
    button = QToolButton()
    button.setText(say(text))
    button.setToolTip(say(help_text))
    if sign:
        button.setIcon(icon(sign))
    button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    return button


def _title(subject: Subject) -> str:
    return say(Text.EXAMPLE, preset=subject.title) if subject.is_example else subject.title


def _usable(picture: Picture | None) -> Picture | None:
    return picture if picture is not None and picture.readable else None
