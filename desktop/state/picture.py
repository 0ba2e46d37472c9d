"""A picture as the window holds it."""

from dataclasses import dataclass

from PySide6.QtCore import QSize
from PySide6.QtGui import QImage

__all__ = ["Picture"]


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
