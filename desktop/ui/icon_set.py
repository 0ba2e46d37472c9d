"""Icons of our own: small drawings in one colour."""

from pathlib import Path

from PySide6.QtCore import QByteArray, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap, QPixmapCache
from PySide6.QtSvg import QSvgRenderer

from desktop.ui.theme import Ink

__all__ = ["app_icon", "icon", "pixmap"]

_FOLDER = Path(__file__).parent / "icons"
_ICON_SIZES = (16, 32)


def app_icon() -> QIcon:
    return QIcon(str(_FOLDER / "safelight.svg"))


def icon(name: str, ink: QColor = Ink.SOFT) -> QIcon:
    """An icon of ours in one colour, sharp on screens of double density."""
    result = QIcon()
    for side in _ICON_SIZES:
        result.addPixmap(pixmap(name, side, ink, ratio=1.0))
    result.addPixmap(pixmap(name, _ICON_SIZES[-1], Ink.DISABLED, ratio=1.0), QIcon.Mode.Disabled)
    return result


def pixmap(name: str, side: int, ink: QColor, *, ratio: float) -> QPixmap:
    """`side` is in device-independent pixels, `ratio` the screen's density."""
    key = f"{name} {side} {ink.name()} {ratio}"
    result = QPixmap()
    if not QPixmapCache.find(key, result):
        result = _drawn(name, round(side * ratio), ink.name())
        result.setDevicePixelRatio(ratio)
        QPixmapCache.insert(key, result)
    return result


def _drawn(name: str, side: int, ink: str) -> QPixmap:
    """Without QImageReader: on a device of Python's it would hold a lock of Qt while it waits for the GIL,
    and the threads that read pictures hold the GIL while they wait for that lock.
    """
    svg = (_FOLDER / f"{name}.svg").read_bytes().replace(b"currentColor", ink.encode())
    result = QPixmap(side, side)
    result.fill(Qt.GlobalColor.transparent)
    painter = QPainter(result)
    QSvgRenderer(QByteArray(svg)).render(painter)
    painter.end()
    return result
