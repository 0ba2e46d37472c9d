"""Sizes and places that follow from the size of a picture, and so cannot stand in the graph."""

from dataclasses import dataclass

from shared.presets.binding import Target

__all__ = ["Area", "Crop", "Fit", "cropped_area", "fitted_area"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A size in pixels with the aspect of the picture `input`, scaled down to its limit.

    The limit is a `longer_side`, the parameter `longer_side_from` that holds one, or the parameter
    `box_from` that holds a width and a height ("1080x1350" or a size), less the fraction
    `inset_from` of its shorter side on all sides; without a limit it is the picture's own size.
    Smaller pictures grow only with `enlarge`. Each side becomes a multiple of `multiple_of` and at
    least `min_side`, which bends the aspect of extreme shapes. `x` and `y` get the place in the
    middle of the box.
    """

    input: str
    longer_side: int | None = None
    longer_side_from: str | None = None
    box_from: str | None = None
    inset_from: str | None = None
    enlarge: bool = False
    multiple_of: int = 1
    min_side: int = 1
    width: tuple[Target, ...] = ()
    height: tuple[Target, ...] = ()
    x: tuple[Target, ...] = ()
    y: tuple[Target, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop:
    """The largest part of the picture `input` with an aspect (width ÷ height).

    The aspect is a number, or that of the size in the parameter `aspect_from`. `anchor_x_from` and
    `anchor_y_from` name parameters from 0 (left, top) to 1; without them the middle is taken.
    """

    input: str
    aspect: float | None = None
    aspect_from: str | None = None
    anchor_x_from: str | None = None
    anchor_y_from: str | None = None
    width: tuple[Target, ...] = ()
    height: tuple[Target, ...] = ()
    x: tuple[Target, ...] = ()
    y: tuple[Target, ...] = ()


@dataclass(frozen=True, slots=True)
class Area:
    width: int
    height: int
    x: int = 0
    y: int = 0


def fitted_area(fit: Fit, size: tuple[int, int], box: tuple[float, float] | None, inset: float) -> Area:
    """Where a picture of `size` comes to lie in `box` (None: as large as it is)."""
    width, height = size
    if box is None:
        return Area(_side(width, fit), _side(height, fit))
    margin = min(box) * inset
    factor = min(max(box[0] - 2 * margin, 1) / width, max(box[1] - 2 * margin, 1) / height)
    if not fit.enlarge:
        factor = min(factor, 1.0)
    across, down = _side(width * factor, fit), _side(height * factor, fit)
    return Area(across, down, max(int((box[0] - across) / 2), 0), max(int((box[1] - down) / 2), 0))


def cropped_area(size: tuple[int, int], aspect: float, anchor: tuple[float, float]) -> Area:
    """The part of a picture of `size` that has `aspect`, at least one pixel each way."""
    width, height = size
    across = min(width, max(round(height * aspect), 1))
    down = min(height, max(round(width / aspect), 1))
    return Area(across, down, round((width - across) * anchor[0]), round((height - down) * anchor[1]))


def _side(length: float, fit: Fit) -> int:
    steps = max(round(length / fit.multiple_of), -(-fit.min_side // fit.multiple_of), 1)
    return steps * fit.multiple_of
