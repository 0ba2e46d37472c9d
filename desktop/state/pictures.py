"""Pictures for the screen, read and reduced off the window's thread."""

from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, QSize, Qt, QThreadPool, Signal
from PySide6.QtGui import QImage, QImageIOHandler, QImageReader

__all__ = ["Picture", "Pictures", "read_picture"]

_CACHE_BYTES = 96 * 1024 * 1024
_THREADS = 2

_Key = tuple[Path, int]


@dataclass(frozen=True, slots=True)
class Picture:
    """What was read, perhaps reduced, and the size that the file really has.

    The image is null where the file could not be read, so that it is not tried at every paint.
    """

    image: QImage
    full: QSize

    @classmethod
    def whole(cls, image: QImage) -> "Picture":
        return cls(image, image.size())

    @property
    def readable(self) -> bool:
        return not self.image.isNull()


class Pictures(QObject):
    """A bounded store of reduced pictures: `get` answers at once, `arrived` tells of more."""

    arrived = Signal(object, int)  # path, side
    _read = Signal(object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(_THREADS)
        self._store: OrderedDict[_Key, Picture] = OrderedDict()
        self._bytes = 0
        self._wanted: set[_Key] = set()
        self._read.connect(self._keep, Qt.ConnectionType.QueuedConnection)

    def get(self, path: Path, side: int) -> Picture | None:
        """The picture with its longer side at most `side` pixels, or None while it is being read."""
        key = (path, side)
        picture = self._store.get(key)
        if picture is not None:
            self._store.move_to_end(key)
            return picture
        if key not in self._wanted:
            self._wanted.add(key)
            self._pool.start(partial(self._work, key))
        return None

    @property
    def is_reading(self) -> bool:
        return bool(self._wanted)

    def close(self) -> None:
        self.blockSignals(True)  # what still arrives has nobody left to show it
        self._pool.clear()
        self._pool.waitForDone()

    def _work(self, key: _Key) -> None:
        self._read.emit(key, read_picture(*key))

    def _keep(self, key: _Key, picture: Picture) -> None:
        self._wanted.discard(key)
        self._store[key] = picture
        self._bytes += picture.image.sizeInBytes()
        while self._bytes > _CACHE_BYTES and len(self._store) > 1:
            _, dropped = self._store.popitem(last=False)
            self._bytes -= dropped.image.sizeInBytes()
        self.arrived.emit(*key)


def read_picture(path: Path, side: int) -> Picture:
    """Decode upright with the longer side at most `side`; JPEG by draft decoding."""
    reader = QImageReader(str(path))
    reader.setAutoTransform(True)
    size = reader.size()
    if max(size.width(), size.height()) > side:
        reader.setScaledSize(size.scaled(QSize(side, side), Qt.AspectRatioMode.KeepAspectRatio))
    image = reader.read()
    turned = reader.transformation().value & QImageIOHandler.Transformation.TransformationRotate90.value
    return Picture(image, size.transposed() if turned else size)
