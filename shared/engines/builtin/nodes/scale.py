"""Resampling, and the nodes that scale pictures."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from shared.engines.builtin.pixels import NodeFailed, Picture, as_batch, as_bytes, as_floats, new_floats

__all__ = ["NODES", "resize", "resize_cropped"]

_METHODS = ("nearest-exact", "bilinear", "area", "bicubic", "lanczos")
_BICUBIC_A = -0.75
_BAND_ROWS = 32


def resize(picture: Picture, width: int, height: int, method: str) -> Picture:
    """Half-pixel centres; no antialiasing except by "area" and "lanczos"; nothing is clipped."""
    if method not in _METHODS:
        raise NodeFailed(f"{method!r} is no way to scale; use one of {', '.join(_METHODS)}")
    if method == "area" and min(width, height) == 0 < picture.size:
        return new_floats(len(picture), height, width, picture.shape[3])  # only what comes after fails
    if min(width, height, *picture.shape[1:3]) < 1:
        old = f"{picture.shape[2]}x{picture.shape[1]}"
        raise NodeFailed(f"a picture of {old} pixels cannot be scaled to {width}x{height}")
    if method == "lanczos":
        return _lanczos(picture, width, height)
    if picture.shape[1:3] == (height, width):
        return picture
    if method == "nearest-exact":
        return _nearest(picture, width, height)
    if method == "area":
        return _area(picture, width, height)
    taps = _bilinear_taps if method == "bilinear" else _bicubic_taps
    return _interpolated(picture, taps(picture.shape[1], height), taps(picture.shape[2], width))


def resize_cropped(picture: Picture, width: int, height: int, method: str) -> Picture:
    """Cut equally from both sides to the target's aspect, then resize."""
    return resize(_centre(picture, width, height), width, height, method)


def _centre(picture: Picture, width: int, height: int) -> Picture:
    """The order of the double operations decides the rounding, and so the result."""
    old_height, old_width = picture.shape[1:3]
    old_aspect, new_aspect = old_width / old_height, width / height
    x = y = 0
    if old_aspect > new_aspect:
        x = round((old_width - old_width * (new_aspect / old_aspect)) / 2)
    elif old_aspect < new_aspect:
        y = round((old_height - old_height * (old_aspect / new_aspect)) / 2)
    return picture[:, y : old_height - y, x : old_width - x]


def _lanczos(picture: Picture, width: int, height: int) -> Picture:
    """Through Pillow's 8 bits, whatever the size; RGBA is premultiplied inside Pillow."""
    data = as_bytes(picture)
    if data.shape[1:3] == (height, width):
        return data
    images = (Image.fromarray(np.ascontiguousarray(pixels)) for pixels in data)
    return as_batch([np.asarray(image.resize((width, height), Image.Resampling.LANCZOS)) for image in images])


def _positions(old: int, new: int, *, offset: float = 0.0) -> npt.NDArray[np.float32]:
    """Where in the source each output lies, with the server's float32 roundings."""
    scale = np.float32(old) / np.float32(new)
    return (np.arange(new, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(offset)


def _nearest(picture: Picture, width: int, height: int) -> Picture:
    rows = np.minimum(_positions(picture.shape[1], height).astype(np.intp), picture.shape[1] - 1)
    columns = np.minimum(_positions(picture.shape[2], width).astype(np.intp), picture.shape[2] - 1)
    return np.asarray(np.take(picture[:, rows], columns, axis=2))


@dataclass(frozen=True, slots=True)
class _Taps:
    """For each output, the source indices it is made of and their weights: both (outputs, taps)."""

    indices: npt.NDArray[np.intp]
    weights: npt.NDArray[np.float32]


def _bilinear_taps(old: int, new: int) -> _Taps:
    position = np.maximum(_positions(old, new, offset=0.5), 0)
    first = np.floor(position).astype(np.intp)
    share = position - first.astype(np.float32)
    indices = np.minimum(np.stack([first, first + 1], axis=1), old - 1)
    return _Taps(indices, np.stack([1 - share, share], axis=1))


def _bicubic_taps(old: int, new: int) -> _Taps:
    """Keys' kernel with a = -0.75 over four taps; the border repeats."""
    position = _positions(old, new, offset=0.5)
    first = np.floor(position)
    share = position - first
    distances = np.stack([share + 1, share, 1 - share, 2 - share], axis=1)
    near = ((_BICUBIC_A + 2) * distances - (_BICUBIC_A + 3)) * distances * distances + 1
    far = ((distances - 5) * distances + 8) * distances * _BICUBIC_A - 4 * _BICUBIC_A
    indices = first.astype(np.intp)[:, None] + np.arange(-1, 3)
    weights = np.where(distances <= 1, near, far).astype(np.float32)
    return _Taps(np.clip(indices, 0, old - 1), weights)


def _interpolated(picture: Picture, rows: _Taps, columns: _Taps) -> Picture:
    height, width = len(rows.indices), len(columns.indices)
    result = new_floats(len(picture), height, width, picture.shape[3])
    for item, source in enumerate(picture):
        for top in range(0, height, _BAND_ROWS):
            band = slice(top, top + _BAND_ROWS)
            used, places = np.unique(rows.indices[band], return_inverse=True)
            across = _weighted(as_floats(source[used]), columns, axis=1)
            taps = _Taps(places.reshape(-1, rows.indices.shape[1]), rows.weights[band])
            result[item, band] = _weighted(across, taps, axis=0)
    return result


def _weighted(values: npt.NDArray[np.float32], taps: _Taps, *, axis: int) -> npt.NDArray[np.float32]:
    weights = taps.weights[:, :, None, None] if axis == 0 else taps.weights[None, :, :, None]
    total = values.take(taps.indices[:, 0], axis=axis)
    total *= weights[:, 0] if axis == 0 else weights[:, :, 0]
    for tap in range(1, taps.indices.shape[1]):
        part = values.take(taps.indices[:, tap], axis=axis)
        part *= weights[:, tap] if axis == 0 else weights[:, :, tap]
        total += part
    return total


def _area(picture: Picture, width: int, height: int) -> Picture:
    """Bit for bit the server's: a running sum in float32, row by row, divided by rows, then columns."""
    row_starts, row_ends = _windows(picture.shape[1], height)
    column_starts, column_ends = _windows(picture.shape[2], width)
    row_counts = (row_ends - row_starts).astype(np.float32)[:, None, None]
    column_counts = (column_ends - column_starts).astype(np.float32)[None, :, None]
    result = new_floats(len(picture), height, width, picture.shape[3])
    for item, source in enumerate(picture):
        for top in range(0, height, _BAND_ROWS):
            band = slice(top, top + _BAND_ROWS)
            total = result[item, band]
            total[...] = 0
            for row in range(int((row_ends - row_starts)[band].max())):
                rows = row_starts[band] + row
                inside = np.flatnonzero(rows < row_ends[band])
                values = as_floats(source[rows[inside]])
                if len(inside) == len(rows):
                    _add_columns(total, values, column_starts, column_ends)
                else:
                    part = total[inside]
                    _add_columns(part, values, column_starts, column_ends)
                    total[inside] = part
            total /= row_counts[band]
            total /= column_counts
    return result


def _windows(old: int, new: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    index = np.arange(new, dtype=np.int64)
    return (index * old // new).astype(np.intp), (-(-(index + 1) * old // new)).astype(np.intp)


def _add_columns(
    total: npt.NDArray[np.float32],
    values: npt.NDArray[np.float32],
    starts: npt.NDArray[np.intp],
    ends: npt.NDArray[np.intp],
) -> None:
    for column in range(int((ends - starts).max())):
        columns = starts + column
        inside = np.flatnonzero(columns < ends)
        if len(inside) == len(columns):
            total += values.take(columns, axis=1)
        else:
            total[:, inside] += values.take(columns[inside], axis=1)


def _scale(*, image: Picture, upscale_method: str, width: int, height: int, crop: str) -> Picture:
    old_height, old_width = image.shape[1:3]
    if width == 0 and height == 0:
        return image
    if width == 0:
        width = max(1, round(old_width * height / old_height))
    elif height == 0:
        height = max(1, round(old_height * width / old_width))
    chosen = resize_cropped if crop == "center" else resize
    return chosen(image, width, height, upscale_method)


def _scale_by(*, image: Picture, upscale_method: str, scale_by: float) -> Picture:
    return resize(image, round(image.shape[2] * scale_by), round(image.shape[1] * scale_by), upscale_method)


def _scale_to_total_pixels(*, image: Picture, upscale_method: str, megapixels: float) -> Picture:
    total = int(megapixels * 1024 * 1024)
    factor = math.sqrt(total / (image.shape[2] * image.shape[1]))
    return resize(image, round(image.shape[2] * factor), round(image.shape[1] * factor), upscale_method)


def _scale_to_max_dimension(*, image: Picture, upscale_method: str, largest_size: int) -> Picture:
    height, width = image.shape[1:3]
    if height > width:
        size = round((width / height) * largest_size), largest_size
    elif width > height:
        size = largest_size, round((height / width) * largest_size)
    else:
        size = largest_size, largest_size
    return resize(image, *size, upscale_method)


def _resize_and_pad(
    *, image: Picture, target_width: int, target_height: int, padding_color: str, interpolation: str
) -> Picture:
    height, width = image.shape[1:3]
    factor = min(target_width / width, target_height / height)
    inner = resize(image, int(width * factor), int(height * factor), interpolation)
    full = 255 if inner.dtype == np.uint8 else 1
    shape = (len(inner), target_height, target_width, inner.shape[3])
    result = np.full(shape, full if padding_color == "white" else 0, inner.dtype)
    top = (target_height - inner.shape[1]) // 2
    left = (target_width - inner.shape[2]) // 2
    result[:, top : top + inner.shape[1], left : left + inner.shape[2]] = inner
    return result


NODES: Mapping[str, Callable[..., object]] = {
    "ImageScale": _scale,
    "ImageScaleBy": _scale_by,
    "ImageScaleToTotalPixels": _scale_to_total_pixels,
    "ImageScaleToMaxDimension": _scale_to_max_dimension,
    "ResizeAndPadImage": _resize_and_pad,
}
