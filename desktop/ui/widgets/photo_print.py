"""A picture ready to be painted at any size."""

from PySide6.QtCore import QSize, QSizeF, Qt
from PySide6.QtGui import QPixmap

from desktop.state.picture import Picture

__all__ = ["PhotoPrint"]


class PhotoPrint:
    """`size` is that of the file, so that 1:1 means the file's own pixels, however much was read."""

    def __init__(self, picture: Picture) -> None:
        self.size = QSizeF(picture.full)
        self._pixels = QPixmap.fromImage(picture.image)
        self._reduced = self._pixels

    @property
    def shape(self) -> float:
        return self.size.width() / self.size.height()

    def at(self, size: QSize) -> QPixmap:
        """Well filtered where it is reduced, and kept for the next paint; enlarging is the painter's."""
        if size.width() >= self._pixels.width() or size.isEmpty():
            return self._pixels
        if self._reduced.size() != size:
            self._reduced = self._pixels.scaled(
                size, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation
            )
        return self._reduced
