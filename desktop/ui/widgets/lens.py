"""Where a picture stands in a frame at a zoom: plain geometry in device-independent pixels."""

from dataclasses import dataclass, replace

from PySide6.QtCore import QPointF, QRectF, QSizeF

__all__ = ["Lens", "fit_scale", "lens_rect", "moved", "zoomed"]

_MAX_SCALE = 16.0


@dataclass(frozen=True, slots=True)
class Lens:
    """`scale` is screen pixels per picture pixel, None to fit. The picture's point (x, y), each
    0 to 1, stands in the middle of the frame: so two pictures of unlike sizes move together.
    """

    scale: float | None = None
    x: float = 0.5
    y: float = 0.5


def fit_scale(picture: QSizeF, frame: QSizeF) -> float:
    """The scale at which the picture just fits; small pictures are not blown up beyond twice."""
    return min(frame.width() / picture.width(), frame.height() / picture.height(), 2.0)


def lens_rect(lens: Lens, picture: QSizeF, frame: QRectF) -> QRectF:
    """Where the picture is painted; never further aside than its own edge unless it is smaller."""
    scale = lens.scale if lens.scale is not None else fit_scale(picture, frame.size())
    width, height = picture.width() * scale, picture.height() * scale
    left = _edge(frame.left(), frame.width(), width, lens.x)
    top = _edge(frame.top(), frame.height(), height, lens.y)
    return QRectF(left, top, width, height)


def zoomed(lens: Lens, factor: float, at: QPointF, picture: QSizeF, frame: QRectF) -> Lens:
    """Zoom by `factor`; the picture's point under `at` stays there. Below fitting it is fitted."""
    now = lens_rect(lens, picture, frame)
    smallest = fit_scale(picture, frame.size())
    scale = now.width() / picture.width() * factor
    if scale <= smallest:
        return Lens()
    scale = min(scale, _MAX_SCALE)
    u = (at.x() - now.left()) / now.width()
    v = (at.y() - now.top()) / now.height()
    x = u - (at.x() - frame.center().x()) / (picture.width() * scale)
    y = v - (at.y() - frame.center().y()) / (picture.height() * scale)
    return Lens(scale, _unit(x), _unit(y))


def moved(lens: Lens, by: QPointF, picture: QSizeF, frame: QRectF) -> Lens:
    """Drag the picture by so many screen pixels."""
    now = lens_rect(lens, picture, frame)
    x = (frame.center().x() - now.left() - by.x()) / now.width()
    y = (frame.center().y() - now.top() - by.y()) / now.height()
    return replace(lens, x=_unit(x), y=_unit(y))


def _edge(start: float, room: float, length: float, share: float) -> float:
    if length <= room:
        return start + (room - length) / 2
    wanted = start + room / 2 - share * length
    return min(start, max(start + room - length, wanted))


def _unit(value: float) -> float:
    return min(1.0, max(0.0, value))
