"""Where pictures come in: by dragging, by pasting, or chosen in a dialog."""

from pathlib import Path

from PySide6.QtCore import QMimeData, Qt, QUrl, Signal
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent, QGuiApplication, QImage
from PySide6.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from desktop.state.pictures import Pictures
from desktop.state.sources import Sources
from desktop.ui.icon_set import pixmap
from desktop.ui.messages import Text, counted, say
from desktop.ui.theme import Ink, title_font
from desktop.ui.widgets.film_strip import FilmStrip

__all__ = ["DropZone"]


class DropZone(QFrame):
    """Empty it invites; with pictures chosen it shows them and takes more."""

    sample_wanted = Signal()
    picture_picked = Signal(object)  # Path

    def __init__(self, sources: Sources, pictures: Pictures, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sources = sources
        self.setProperty("look", "drop")
        self.setAcceptDrops(True)
        self.setAccessibleName(say(Text.DROP_TITLE))
        self._title = QLabel(say(Text.DROP_TITLE))
        self._hint = QLabel(say(Text.DROP_HINT))
        self._count = QLabel()
        self._strip = FilmStrip(sources, pictures)
        self._strip.picked.connect(self.picture_picked)
        self._sample = _button(Text.TRY_SAMPLE, "link")
        self._sample.setToolTip(say(Text.TRY_SAMPLE_HELP))
        self._sample.clicked.connect(self.sample_wanted)
        self._pages = QStackedLayout(self)
        self._pages.addWidget(self._invitation())
        self._pages.addWidget(self._chosen())
        sources.changed.connect(self._show_sources)

    @property
    def hint(self) -> str:
        return self._hint.text()

    @property
    def summary(self) -> str:
        return self._count.text()

    def allow_sample(self, *, available: bool) -> None:
        self._sample.setEnabled(available)

    def choose_files(self) -> None:
        dialog = QFileDialog(self, say(Text.PICTURES))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.setNameFilters([self._name_filter(), f"{say(Text.ALL_FILES)} (*)"])
        dialog.filesSelected.connect(self._chosen_by_name)
        dialog.open()

    def choose_folder(self) -> None:
        dialog = QFileDialog(self, say(Text.PICTURES))
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        dialog.filesSelected.connect(self._chosen_by_name)
        dialog.open()

    def paste(self) -> None:
        """Files if the clipboard holds files, else its picture."""
        data = QGuiApplication.clipboard().mimeData()
        paths = _local_paths(data)
        if paths:
            self._sources.add(paths)
        elif data.hasImage():
            picture = data.imageData()
            if isinstance(picture, QImage):
                self._sources.paste(picture)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        reason = self._why_not(event.mimeData())
        self._hover("no" if reason else "yes")
        self._hint.setText(reason or say(Text.DROP_RELEASE))
        event.acceptProposedAction()  # a refused drop still has to say why

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:  # noqa: N802
        self._rest()
        event.accept()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        reason = self._why_not(event.mimeData())
        self._rest()
        if reason is None:
            self._sources.add(_local_paths(event.mimeData()))
            event.acceptProposedAction()
        else:
            event.ignore()

    def _why_not(self, data: QMimeData) -> str | None:
        paths = _local_paths(data)
        if not paths:
            return say(Text.DROP_NO_FILES)
        suffixes = self._sources.suffixes
        if suffixes is None or any(not path.suffix or path.suffix.lower() in suffixes for path in paths):
            return None
        if any(path.is_dir() for path in paths):
            return None
        return say(Text.DROP_NOT_READABLE, suffix=paths[0].suffix.lower())

    def _hover(self, state: str) -> None:
        self.setProperty("over", state)
        self.style().unpolish(self)
        self.style().polish(self)

    def _rest(self) -> None:
        self._hover("")
        self._hint.setText(say(Text.DROP_HINT))

    def _show_sources(self) -> None:
        n = len(self._sources.files)
        self._count.setText(counted(Text.PICTURE_ONE, Text.PICTURE_MANY, n))
        self._pages.setCurrentIndex(1 if n else 0)

    def _chosen_by_name(self, names: list[str]) -> None:
        self._sources.add([Path(name) for name in names])

    def _name_filter(self) -> str:
        suffixes = sorted(self._sources.suffixes or ())
        return f"{say(Text.PICTURES)} ({' '.join(f'*{suffix}' for suffix in suffixes) or '*'})"

    def _invitation(self) -> QWidget:
        page = QWidget()
        sign = QLabel()
        sign.setPixmap(pixmap("picture", 30, Ink.AMBER, ratio=self.devicePixelRatioF()))
        self._title.setFont(title_font(self.font(), points=0.5))
        self._hint.setProperty("look", "faint")
        files, folder = _button(Text.CHOOSE_FILES), _button(Text.CHOOSE_FOLDER)
        files.clicked.connect(self.choose_files)
        folder.clicked.connect(self.choose_folder)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addStretch(1)
        buttons.addWidget(files)
        buttons.addWidget(folder)
        buttons.addStretch(1)
        layout = QVBoxLayout(page)
        layout.setContentsMargins(12, 14, 12, 8)
        layout.setSpacing(6)
        for label in (sign, self._title, self._hint):
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            layout.addWidget(label)
        layout.addSpacing(4)
        layout.addLayout(buttons)
        layout.addWidget(self._sample, 0, Qt.AlignmentFlag.AlignHCenter)
        return page

    def _chosen(self) -> QWidget:
        page = QWidget()
        self._count.setFont(title_font(self.font(), points=0.5))
        clear, more, folder = _button(Text.CLEAR, "link"), _button(Text.ADD_MORE), _button(Text.CHOOSE_FOLDER)
        clear.setToolTip(say(Text.CLEAR_HELP))
        clear.clicked.connect(self._sources.clear)
        more.clicked.connect(self.choose_files)
        folder.clicked.connect(self.choose_folder)
        top, bottom = QHBoxLayout(), QHBoxLayout()
        top.addWidget(self._count, 1)
        top.addWidget(clear)
        bottom.setSpacing(8)
        bottom.addWidget(more, 1)
        bottom.addWidget(folder, 1)
        layout = QVBoxLayout(page)
        layout.setContentsMargins(12, 10, 12, 12)
        layout.setSpacing(8)
        layout.addLayout(top)
        layout.addWidget(self._strip, 1)
        layout.addLayout(bottom)
        return page


def _button(text: Text, look: str = "") -> QPushButton:
    button = QPushButton(say(text))
    button.setProperty("look", look)
    button.setAutoDefault(True)
    return button


def _local_paths(data: QMimeData) -> list[Path]:
    urls: list[QUrl] = data.urls() if data.hasUrls() else []
    return [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]
