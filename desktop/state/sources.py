"""The pictures chosen to be developed next."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Qt, QThreadPool, Signal
from PySide6.QtGui import QImage

from shared.errors import UsageError

__all__ = ["PictureFinder", "Sources"]


@dataclass(frozen=True, slots=True)
class PictureFinder:
    """How the core finds pictures, handed in once it is loaded.

    `find` returns a file itself or the pictures below a folder, and raises UsageError; it blocks.
    """

    suffixes: frozenset[str]
    find: Callable[[Path], Sequence[Path]]


@dataclass(frozen=True, slots=True)
class _Found:
    files: dict[Path, tuple[Path, ...]]  # by what was dropped
    refused: tuple[str, ...]


class Sources(QObject):
    """What was dropped, in order, and the pictures in it. Folders are walked off the window's thread."""

    changed = Signal()
    refused = Signal(object)  # tuple[str, ...], a sentence for each path left out
    _found = Signal(object)

    def __init__(self, *, paste_folder: Path, name_paste: Callable[[], str]) -> None:
        super().__init__()
        self._chosen: dict[Path, tuple[Path, ...]] = {}
        self._files: tuple[Path, ...] = ()
        self._finder: PictureFinder | None = None
        self._early: list[Path] = []
        self._paste_folder = paste_folder
        self._name_paste = name_paste
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._found.connect(self._take, Qt.ConnectionType.QueuedConnection)

    @property
    def chosen(self) -> tuple[Path, ...]:
        """Files and folders as the user gave them, so that subfolders keep their place."""
        return tuple(self._chosen)

    @property
    def files(self) -> tuple[Path, ...]:
        """Every picture in them, once."""
        return self._files

    @property
    def suffixes(self) -> frozenset[str] | None:
        """Lower-case suffixes that can be read; None until the core has told."""
        return self._finder.suffixes if self._finder else None

    def use(self, finder: PictureFinder) -> None:
        """From now on paths are looked into, beginning with those that came early."""
        self._finder = finder
        early, self._early = self._early, []
        self.add(early)

    def add(self, paths: Iterable[Path]) -> None:
        wanted = [path.absolute() for path in paths]
        if self._finder is None:
            self._early += wanted
        elif wanted:
            self._pool.start(partial(self._search, tuple(wanted), self._finder))

    def paste(self, picture: QImage) -> None:
        """Keep a picture from the clipboard as a file, and choose it."""
        self._pool.start(partial(self._save, picture, self._paste_folder / self._name_paste()))

    def clear(self) -> None:
        self._chosen, self._files = {}, ()
        self.changed.emit()

    def close(self) -> None:
        self.blockSignals(True)  # what still arrives has nobody left to show it
        self._pool.clear()
        self._pool.waitForDone()

    def _search(self, paths: tuple[Path, ...], finder: PictureFinder) -> None:
        files: dict[Path, tuple[Path, ...]] = {}
        refused: list[str] = []
        for path in paths:
            try:
                files[path] = tuple(finder.find(path))
            except UsageError as error:
                refused.append(error.message)
        self._found.emit(_Found(files, tuple(refused)))

    def _save(self, picture: QImage, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            is_written = picture.save(str(path))
        except OSError:
            is_written = False
        if is_written:
            self._found.emit(_Found({path: (path,)}, ()))
        else:
            self._found.emit(_Found({}, (f"{path} could not be written: is the disk full?",)))

    def _take(self, found: _Found) -> None:
        before = self._files
        self._chosen.update(found.files)
        self._files = tuple(dict.fromkeys(file for files in self._chosen.values() for file in files))
        if self._files != before:
            self.changed.emit()
        if found.refused:
            self.refused.emit(found.refused)
