"""Working sizes that follow from the size of a picture."""

from dataclasses import dataclass

from shared.presets.binding import Target

__all__ = ["Fit", "fitted_size"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A size in pixels with the aspect of the picture `input`, its longer side as given.

    `longer_side` is a number, or `longer_side_from` the parameter that holds it; neither means the
    picture's own size. Smaller pictures grow only with `enlarge`. Each side becomes a multiple of
    `multiple_of` and at least `min_side`, which bends the aspect of extreme shapes.
    """

    input: str
    longer_side: int | None = None
    longer_side_from: str | None = None
    enlarge: bool = False
    multiple_of: int = 1
    min_side: int = 1
    width: tuple[Target, ...] = ()
    height: tuple[Target, ...] = ()


def fitted_size(fit: Fit, size: tuple[int, int], longer_side: float | None) -> tuple[int, int]:
    """Width and height for a picture of `size`, its longer side `longer_side` (None: as it is)."""
    width, height = size
    factor = 1.0 if longer_side is None else longer_side / max(width, height)
    if not fit.enlarge:
        factor = min(factor, 1.0)
    return _side(width * factor, fit), _side(height * factor, fit)


def _side(length: float, fit: Fit) -> int:
    steps = max(round(length / fit.multiple_of), -(-fit.min_side // fit.multiple_of), 1)
    return steps * fit.multiple_of
