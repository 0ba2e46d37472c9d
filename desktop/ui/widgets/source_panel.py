"""The left column: pictures, then presets."""

from PySide6.QtWidgets import QFrame, QLabel, QStackedWidget, QVBoxLayout, QWidget

from desktop.state.session import Session
from desktop.ui.messages import Text, say
from desktop.ui.widgets.brand import Brand
from desktop.ui.widgets.drop_zone import DropZone
from desktop.ui.widgets.empty_state import EmptyState
from desktop.ui.widgets.preset_gallery import PresetGallery
from desktop.views import PresetView

__all__ = ["SourcePanel"]


class SourcePanel(QFrame):
    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.setProperty("look", "panel")
        self.drop_zone = DropZone(session.sources, session.pictures)
        self.gallery = PresetGallery(session.presets, session.pictures)
        self._empty = EmptyState("sample", say(Text.LOADING), "")
        self._pages = QStackedWidget()
        self._pages.addWidget(self._empty)
        self._pages.addWidget(self.gallery)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 12, 6, 8)
        layout.setSpacing(8)
        top = QVBoxLayout()
        top.setContentsMargins(0, 0, 6, 0)
        top.setSpacing(12)
        top.addWidget(Brand())
        top.addWidget(self.drop_zone)
        layout.addLayout(top)
        heading = QLabel(say(Text.PRESETS))
        heading.setProperty("look", "heading")
        heading.setContentsMargins(4, 8, 0, 0)
        layout.addWidget(heading)
        layout.addWidget(self._pages, 1)
        self.drop_zone.sample_wanted.connect(self._add_sample)
        self.drop_zone.picture_picked.connect(session.spotlight.show_source)
        self.gallery.preset_chosen.connect(self._choose)
        session.presets.modelReset.connect(self._show_presets)
        session.preset_changed.connect(self._show_choice)
        self.drop_zone.allow_sample(available=False)

    def _show_presets(self) -> None:
        found = self._session.presets.rowCount() > 0
        self._empty.say(say(Text.NO_PRESETS), say(Text.NO_PRESETS_HINT))
        self._pages.setCurrentIndex(1 if found else 0)

    def _show_choice(self) -> None:
        preset = self._session.preset
        row = None if preset is None else self._session.presets.row_of(preset.id)
        if row is not None:
            self.gallery.select(row)
        self.drop_zone.allow_sample(available=preset is not None)

    def _choose(self, preset: PresetView) -> None:
        if preset != self._session.preset:
            self._session.choose_preset(preset)

    def _add_sample(self) -> None:
        if self._session.preset is not None:
            self._session.sources.add([self._session.preset.before])
