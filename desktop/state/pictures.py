"""Pictures for the screen, read and reduced off the window's thread."""

from collections import OrderedDict
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from PySide6.QtCore import QByteArray, QObject, QSize, Qt, QThreadPool, Signal
from PySide6.QtGui import QColorSpace, QImage, QImageIOHandler, QImageReader

from desktop.state.picture import Picture
from desktop.state.thumbnail_store import ThumbnailStore
from desktop.views import ScreenPicture

__all__ = ["Decoder", "Pictures", "read_picture"]

_CACHE_BYTES = 96 * 1024 * 1024
_THREADS = 2

_Key = tuple[Path, int]

# Reads what Qt does not know, its longer side at most so many pixels; blocking.
Decoder = Callable[[Path, int], ScreenPicture | None]


class Pictures(QObject):
    """A bounded store of reduced pictures: `get` answers at once, `arrived` tells of more."""

    arrived = Signal(object, int)  # path, side
    _read = Signal(object, object)

    def __init__(self, *, thumbnails: ThumbnailStore, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._thumbnails = thumbnails
        self._decoder: Decoder | None = None
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

    def use(self, decoder: Decoder) -> None:
        """From now on it is asked for what Qt cannot read, beginning with what came early."""
        self._decoder = decoder
        early = [key for key, picture in self._store.items() if not picture.readable]
        for key in early:
            del self._store[key]
            self.arrived.emit(*key)  # whoever shows it asks again
        self._pool.start(self._thumbnails.prune)

    @property
    def is_reading(self) -> bool:
        return bool(self._wanted)

    def close(self) -> None:
        self.blockSignals(True)  # what still arrives has nobody left to show it
        self._pool.clear()
        self._pool.waitForDone()

    def _work(self, key: _Key) -> None:
        picture = self._thumbnails.find(*key)
        if picture is None:
            picture = read_picture(*key, self._decoder)
            self._thumbnails.keep(*key, picture)
        self._read.emit(key, picture)

    def _keep(self, key: _Key, picture: Picture) -> None:
        self._wanted.discard(key)
        self._store[key] = picture
        self._bytes += picture.image.sizeInBytes()
        while self._bytes > _CACHE_BYTES and len(self._store) > 1:
            _, dropped = self._store.popitem(last=False)
            self._bytes -= dropped.image.sizeInBytes()
        self.arrived.emit(*key)


def read_picture(path: Path, side: int, decoder: Decoder | None = None) -> Picture:
    """Decode upright and in sRGB with the longer side at most `side`; JPEG by draft decoding."""
    picture = _read_by_qt(path, side) if _is_qts(path) else Picture(QImage(), QSize())
    if not picture.readable and decoder is not None:
        decoded = decoder(path, side)
        picture = picture if decoded is None else _from_decoder(decoded)
    return picture


def _is_qts(path: Path) -> bool:
    """By name: of a camera's RAW file Qt would show the stamp-sized picture within."""
    return path.suffix[1:].lower().encode() in _qts_formats()


@cache
def _qts_formats() -> frozenset[bytes]:
    return frozenset(bytes(name.data()) for name in QImageReader.supportedImageFormats())


def _from_decoder(decoded: ScreenPicture) -> Picture:
    kind = QImage.Format.Format_RGBA8888 if decoded.alpha else QImage.Format.Format_RGB888
    stride = decoded.width * (4 if decoded.alpha else 3)
    image = QImage(decoded.data, decoded.width, decoded.height, stride, kind).copy()  # its own bytes
    if decoded.icc is not None:
        image.setColorSpace(QColorSpace.fromIccProfile(QByteArray(decoded.icc)))
    return Picture(_in_srgb(image), QSize(decoded.full_width, decoded.full_height))


def _in_srgb(image: QImage) -> QImage:
    space = image.colorSpace()
    if space.isValid() and space != QColorSpace(QColorSpace.NamedColorSpace.SRgb):
        image.convertToColorSpace(QColorSpace(QColorSpace.NamedColorSpace.SRgb))
    return image


def _read_by_qt(path: Path, side: int) -> Picture:
    reader = QImageReader(str(path))
    reader.setAutoTransform(True)
    size = reader.size()
    if max(size.width(), size.height()) > side:
        reader.setScaledSize(size.scaled(QSize(side, side), Qt.AspectRatioMode.KeepAspectRatio))
    image = reader.read()
    turned = reader.transformation().value & QImageIOHandler.Transformation.TransformationRotate90.value
    return Picture(_in_srgb(image), size.transposed() if turned else size)
