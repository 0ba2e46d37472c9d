"""Nodes that compute new values from one picture."""

import math
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import numpy.typing as npt
from PIL import Image

from shared.engines.builtin.pixels import NodeFailed, Picture, as_floats, by_bands, new_floats

__all__ = ["NODES"]

_Floats = npt.NDArray[np.float32]


def _invert(*, image: Picture) -> Picture:
    result = new_floats(*image.shape)
    by_bands(_inverted, result, image)
    return result


def _inverted(out: _Floats, values: Picture) -> None:
    np.subtract(np.float32(1), as_floats(values), out=out)


def _blur(*, image: Picture, blur_radius: int, sigma: float) -> Picture:
    kernel = _gaussian(blur_radius, sigma)
    if blur_radius >= min(image.shape[1:3]):
        raise NodeFailed(
            f"a blur of radius {blur_radius} needs a picture larger than that on both sides, "
            f"not {image.shape[2]}x{image.shape[1]}"
        )
    result = new_floats(*image.shape)
    for source, out in zip(image, result, strict=True):
        _convolve(source, kernel, out)
    return result


def _gaussian(radius: int, sigma: float) -> npt.NDArray[np.float64]:
    """`sigma` is relative to the radius; the 2-D kernel is the product of two of these."""
    offsets = np.linspace(-1, 1, 2 * radius + 1)
    weights = np.exp(-(offsets**2) / (2 * sigma**2))
    return np.asarray(weights / weights.sum())


def _convolve(source: Picture, kernel: npt.NDArray[np.float64], out: _Floats) -> None:
    """Both passes as products with a band matrix: BLAS is many times faster than one tap at a time."""
    radius = len(kernel) // 2
    height, width, channels = source.shape
    rows = _reflected(height, radius)
    tile = max(32, 2 * radius)
    step = max(16, 2 * radius)
    down = _band_matrix(kernel, tile, 1)
    across = _band_matrix(kernel, step, channels).T
    columns = _reflected(width, radius)
    for top in range(0, height, tile):
        count = min(tile, height - top)
        taken = as_floats(source[rows[top : top + count + 2 * radius]]).reshape(count + 2 * radius, -1)
        blurred = (down[:count, : count + 2 * radius] @ taken).reshape(count, width, channels)
        padded = blurred.take(columns, axis=1).reshape(count, -1)
        target = out[top : top + count].reshape(count, -1)
        for left in range(0, width, step):
            reach = min(step, width - left)
            part = padded[:, left * channels : (left + reach + 2 * radius) * channels]
            matrix = across[: part.shape[1], : reach * channels]
            target[:, left * channels : (left + reach) * channels] = part @ matrix


def _reflected(size: int, radius: int) -> npt.NDArray[np.intp]:
    """Source indices of a line with its border reflected, the edge pixel not repeated."""
    index = np.abs(np.arange(-radius, size + radius))
    return np.asarray(np.minimum(index, 2 * (size - 1) - index))


def _band_matrix(kernel: npt.NDArray[np.float64], outputs: int, stride: int) -> _Floats:
    """(outputs * stride, (outputs + 2 * radius) * stride): each row holds the kernel, one step on."""
    matrix = np.zeros((outputs, outputs + len(kernel) - 1), np.float32)
    for row in range(outputs):
        matrix[row, row : row + len(kernel)] = kernel
    return np.kron(matrix, np.eye(stride, dtype=np.float32))


def _sharpen(*, image: Picture, sharpen_radius: int, sigma: float, alpha: float) -> Picture:
    result = _blur(image=image, blur_radius=sharpen_radius, sigma=sigma)
    by_bands(partial(_sharpened, np.float32(10 * alpha)), result, image)
    return result


def _sharpened(strength: np.float32, out: _Floats, values: Picture) -> None:
    """`out` holds the blurred values on entry."""
    sharp = as_floats(values)
    np.subtract(sharp, out, out=out)
    out *= strength
    out += sharp
    np.clip(out, 0, 1, out=out)


def _quantize(*, image: Picture, colors: int, dither: str) -> Picture:
    if image.shape[3] != 3:
        raise NodeFailed("only a picture without alpha can be reduced to a palette")
    result = np.empty(image.shape, np.uint8)
    for item, values in enumerate(image):
        result[item] = _quantized(_wrapped(values), colors, dither)
    return result


def _wrapped(values: Picture) -> npt.NDArray[np.uint8]:
    """255 * value without clipping: what is out of range wraps, as it does on the server."""
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    return (values * np.float32(255)).astype(np.int32).astype(np.uint8)


def _quantized(pixels: npt.NDArray[np.uint8], colors: int, dither: str) -> npt.NDArray[np.uint8]:
    image = Image.fromarray(pixels)
    palette = image.quantize(colors)
    method = Image.Dither.NONE
    if dither == "floyd-steinberg":
        method = Image.Dither.FLOYDSTEINBERG
    elif dither.startswith("bayer-"):
        image = Image.fromarray(_ordered(pixels, int(dither.removeprefix("bayer-")), palette))
    elif dither != "none":
        raise NodeFailed(f"{dither!r} is no way to dither")
    return np.asarray(image.quantize(colors, palette=palette, dither=method).convert("RGB"))


def _ordered(pixels: npt.NDArray[np.uint8], order: int, palette: Image.Image) -> npt.NDArray[np.uint8]:
    """Bayer's matrix of that order, spread over the distance between the palette's colours."""
    entries = len(palette.getpalette() or ()) // 3
    pattern = _bayer(int(math.log2(order))) * np.float32(512 / entries) + np.float32(0.5)
    height, width = pixels.shape[:2]
    tiles = (-(-height // order), -(-width // order))
    spread = np.tile(pattern, tiles)[:height, :width, None]
    return np.clip(pixels + spread, 0, 255).astype(np.uint8)


def _bayer(level: int) -> _Floats:
    matrix = np.zeros((1, 1))
    for step in range(1, level + 1):
        inner = matrix * 4**step
        matrix = np.block([[inner - 1.5, inner + 0.5], [inner + 1.5, inner - 0.5]]) / 4**step
    return matrix.astype(np.float32)


NODES: Mapping[str, Callable[..., object]] = {
    "ImageInvert": _invert,
    "ImageBlur": _blur,
    "ImageSharpen": _sharpen,
    "ImageQuantize": _quantize,
}
