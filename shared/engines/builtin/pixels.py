"""Pictures and masks as arrays, and the few conversions that decide 8-bit results.

A picture is (batch, height, width, channels) with 3 or 4 channels, in one of two forms: uint8,
standing for value / 255, or float32, nominally 0 to 1 and not clipped. What only moves pixels works
on either form, so that 8 bits stay 8 bits as long as nothing is computed. A mask is float32
(batch, height, width). Nodes never write into what they were given: it may be a view without memory
of its own.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.errors import FatalError

__all__ = [
    "Mask",
    "NodeFailed",
    "Picture",
    "as_batch",
    "as_bytes",
    "as_floats",
    "by_bands",
    "fit_batch",
    "new_floats",
    "require_same",
    "same_form",
]

Picture = npt.NDArray[Any]  # uint8 or float32
Mask = npt.NDArray[np.float32]
_Array = npt.NDArray[Any]

_BAND_VALUES = 1 << 16  # bands of a few arrays fit into the second-level cache


class NodeFailed(FatalError):
    """A node cannot do this with the values that reached it."""

    code = "node_failed"


def as_batch(items: Sequence[_Array]) -> _Array:
    """Items of one shape, behind each other; a single one is not copied."""
    return np.expand_dims(items[0], 0) if len(items) == 1 else np.stack(items)


def as_floats(picture: Picture) -> npt.NDArray[np.float32]:
    """value / 255 in float32 for bytes; floats as they are."""
    if picture.dtype == np.uint8:
        return np.divide(picture, np.float32(255), dtype=np.float32)
    return picture


def as_bytes(picture: Picture) -> npt.NDArray[np.uint8]:
    """What the server saves: 255 * value in float32, clipped, then truncated."""
    if picture.dtype == np.uint8:
        return picture
    result = np.empty(picture.shape, np.uint8)
    with np.errstate(invalid="ignore"):
        by_bands(_to_bytes, result, picture)
    return result


def _to_bytes(out: _Array, values: _Array) -> None:
    scaled = values * np.float32(255)
    np.clip(scaled, 0, 255, out=scaled)
    out[...] = scaled


def same_form(*pictures: Picture) -> tuple[Picture, ...]:
    """All of them as bytes if all are bytes, else all as floats."""
    if all(picture.dtype == np.uint8 for picture in pictures):
        return pictures
    return tuple(as_floats(picture) for picture in pictures)


def by_bands(work: Callable[..., None], out: _Array, *arrays: _Array) -> None:
    """Call `work(out_band, *bands)` over bands of rows, so that temporaries stay in the cache.

    All arrays have the rows of `out`; a batch of 1 goes with any batch.
    """
    batch, height = out.shape[:2]
    row_values = max(1, out[0, :1].size) if batch and height else 1
    rows = max(1, _BAND_VALUES // row_values)
    for item in range(batch):
        items = [array[item if len(array) > 1 else 0] for array in arrays]
        for top in range(0, height, rows):
            band = slice(top, top + rows)
            work(out[item, band], *(array[band] for array in items))


def new_floats(*shape: int) -> npt.NDArray[np.float32]:
    return np.empty(shape, np.float32)


def fit_batch(array: _Array, batch: int) -> _Array:
    """Items repeated from the start, or cut, to `batch` of them."""
    if len(array) == batch:
        return array
    return array[np.arange(batch) % len(array)]


def require_same(what: str, first: object, second: object) -> None:
    if first != second:
        raise NodeFailed(f"{what} do not fit together: {first} and {second}")
