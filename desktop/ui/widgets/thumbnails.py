"""How small pictures are painted."""

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPainterPath

from desktop.state.picture import Picture
from desktop.ui.icon_set import pixmap
from desktop.ui.theme import Ink

__all__ = ["CARD_SIDE", "ROW_SIDE", "draw_cover"]

# Pixels of the longer side that are read: enough for screens of double density.
ROW_SIDE = 160
CARD_SIDE = 480


def draw_cover(painter: QPainter, box: QRectF, picture: Picture | None, *, radius: float = 6) -> None:
    """Fill the box with the picture's middle; a quiet frame while there is none or it is unreadable."""
    path = QPainterPath()
    path.addRoundedRect(box, radius, radius)
    painter.save()
    painter.setClipPath(path)
    painter.fillRect(box, Ink.RAISED)
    if picture is None or not picture.readable:
        ratio = painter.device().devicePixelRatioF()
        side = round(min(24.0, box.height() * 0.5))
        sign = pixmap("picture", side, Ink.FAINT, ratio=ratio)
        painter.drawPixmap(box.center() - QPointF(side / 2, side / 2), sign)
    else:
        ratio = painter.device().devicePixelRatioF()
        width, height = round(box.width() * ratio), round(box.height() * ratio)
        small = picture.image.scaled(
            width,
            height,
            Qt.AspectRatioMode.KeepAspectRatioByExpanding,
            Qt.TransformationMode.SmoothTransformation,
        )
        cut = QRectF((small.width() - width) / 2, (small.height() - height) / 2, width, height)
        painter.drawImage(box, small, cut)
    painter.restore()
