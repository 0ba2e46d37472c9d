"""Small pictures kept on the disk, so that a folder seen before is shown at once."""

import contextlib
import os
import threading
from hashlib import sha256
from pathlib import Path

from PySide6.QtCore import QSize
from PySide6.QtGui import QImage, QImageReader

from desktop.state.picture import Picture

__all__ = ["THUMBNAIL_SIDE", "ThumbnailStore"]

THUMBNAIL_SIDE = 480  # pixels; what is larger is read from the picture itself

_QUALITY = 88
_SIZE_KEY = "full"
_MOST_BYTES = 256 << 20


class ThumbnailStore:
    """JPEG files named after path, size and time of the picture: a changed picture has another name.

    Blocking; for any thread. Trouble with the disk counts as not kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, path: Path, side: int) -> Picture | None:
        try:
            reader = QImageReader(str(self._file(path, side)))
        except OSError:
            return None
        image = reader.read()
        full = _parsed(image.text(_SIZE_KEY))
        return None if image.isNull() or full is None else Picture(image, full)

    def keep(self, path: Path, side: int, picture: Picture) -> None:
        """Only what took long to read, and what a JPEG can hold."""
        small = max(picture.full.width(), picture.full.height()) <= 2 * side
        if side > THUMBNAIL_SIDE or small or not picture.readable or picture.image.hasAlphaChannel():
            return
        image = QImage(picture.image)
        image.setText(_SIZE_KEY, f"{picture.full.width()}x{picture.full.height()}")
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            final = self._file(path, side)
            staged = final.with_name(f".{os.getpid()}-{threading.get_ident()}-{final.name}")
            if image.save(str(staged), quality=_QUALITY):
                staged.replace(final)
            else:
                staged.unlink(missing_ok=True)

    def prune(self) -> None:
        """Once they take too much room, the oldest half goes."""
        with contextlib.suppress(OSError):
            found = [(entry.stat(), entry.path) for entry in os.scandir(self._folder)]
            room = sum(facts.st_size for facts, _ in found)
            if room <= _MOST_BYTES:
                return
            for facts, name in sorted(found, key=lambda pair: pair[0].st_mtime):
                Path(name).unlink()
                room -= facts.st_size
                if room <= _MOST_BYTES // 2:
                    return

    def _file(self, path: Path, side: int) -> Path:
        facts = path.stat()
        name = f"{path}\0{facts.st_size}\0{facts.st_mtime_ns}\0{side}"
        return self._folder / f"{sha256(os.fsencode(name)).hexdigest()[:40]}.jpg"


def _parsed(text: str) -> QSize | None:
    width, _, height = text.partition("x")
    return QSize(int(width), int(height)) if width.isdecimal() and height.isdecimal() else None
