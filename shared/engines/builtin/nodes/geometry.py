"""Nodes that move pixels and batch items without computing new values."""

from collections.abc import Callable, Mapping

import numpy as np

from shared.engines.builtin.nodes.scale import resize, resize_cropped
from shared.engines.builtin.pixels import Mask, Picture, as_floats, new_floats, require_same, same_form

__all__ = ["NODES"]

_COLORS = {
    "white": (1, 1, 1),
    "black": (0, 0, 0),
    "red": (1, 0, 0),
    "green": (0, 1, 0),
    "blue": (0, 0, 1),
}


def _crop(*, image: Picture, width: int, height: int, x: int, y: int) -> Picture:
    left, top = min(x, image.shape[2] - 1), min(y, image.shape[1] - 1)
    return image[:, top : top + height, left : left + width]


def _flip(*, image: Picture, flip_method: str) -> Picture:
    return image[:, ::-1] if flip_method.startswith("x") else image[:, :, ::-1]


def _rotate(*, image: Picture, rotation: str) -> Picture:
    turns = {"90 degrees": 1, "180 degrees": 2, "270 degrees": 3}.get(rotation, 0)
    return np.rot90(image, k=-turns, axes=(1, 2))


def _from_batch(*, image: Picture, batch_index: int, length: int) -> Picture:
    start = min(batch_index, len(image) - 1)
    return image[start : start + min(length, len(image) - start)]


def _repeat(*, image: Picture, amount: int) -> Picture:
    return np.tile(image, (amount, 1, 1, 1))


def _batch(*, image1: Picture, image2: Picture) -> Picture:
    if image1.shape[1:] != image2.shape[1:]:
        image2 = resize_cropped(image2, image1.shape[2], image1.shape[1], "bilinear")
    require_same("the channels of the two pictures", image1.shape[3], image2.shape[3])
    return np.concatenate(same_form(image1, image2))


def _stitch(
    *,
    image1: Picture,
    direction: str,
    match_image_size: bool,
    spacing_width: int,
    spacing_color: str,
    image2: Picture | None = None,
) -> Picture:
    if image2 is None:
        return image1
    batch = max(len(image1), len(image2))
    first, second = _last_repeated(image1, batch), _last_repeated(image2, batch)
    beside = direction in {"left", "right"}
    if match_image_size:
        second = _matched(first, second, beside=beside)
    else:
        first, second = _padded(first, second, axis=1 if beside else 2, white=spacing_color == "white")
    first, second = same_form(*_same_channels(first, second))
    parts = [second, first] if direction in {"left", "up"} else [first, second]
    if spacing_width > 0:
        parts.insert(1, _spacing(first, spacing_width + spacing_width % 2, spacing_color, beside=beside))
    return np.concatenate(parts, axis=2 if beside else 1)


def _last_repeated(image: Picture, batch: int) -> Picture:
    missing = batch - len(image)
    return np.concatenate([image, np.repeat(image[-1:], missing, axis=0)]) if missing else image


def _matched(first: Picture, second: Picture, *, beside: bool) -> Picture:
    height, width = first.shape[1:3]
    aspect = second.shape[2] / second.shape[1]
    if beside:
        return resize(second, int(height * aspect), height, "lanczos")
    return resize(second, width, int(width / aspect), "lanczos")


def _padded(first: Picture, second: Picture, *, axis: int, white: bool) -> tuple[Picture, Picture]:
    """The smaller one in the middle of white, or of black for every other spacing colour."""
    size = max(first.shape[axis], second.shape[axis])

    def padded(image: Picture) -> Picture:
        missing = size - image.shape[axis]
        widths = [(0, 0)] * 4
        widths[axis] = (missing // 2, missing - missing // 2)
        full = 255 if image.dtype == np.uint8 else 1
        return np.pad(image, widths, constant_values=full if white else 0)

    return padded(first), padded(second)


def _same_channels(first: Picture, second: Picture) -> tuple[Picture, Picture]:
    channels = max(first.shape[3], second.shape[3])
    return _with_alpha(first, channels), _with_alpha(second, channels)


def _with_alpha(image: Picture, channels: int) -> Picture:
    if image.shape[3] == channels:
        return image
    full = 255 if image.dtype == np.uint8 else 1
    return np.concatenate([image, np.full((*image.shape[:3], 1), full, image.dtype)], axis=3)


def _spacing(like: Picture, width: int, color: str, *, beside: bool) -> Picture:
    full = 255 if like.dtype == np.uint8 else 1
    shape = list(like.shape)
    shape[2 if beside else 1] = width
    band = np.full(shape, full, like.dtype)
    band[..., :3] = np.array(_COLORS[color], like.dtype) * full
    return band


def _pad_for_outpaint(
    *, image: Picture, left: int, top: int, right: int, bottom: int, feathering: int
) -> tuple[Picture, Mask]:
    batch, height, width, channels = image.shape
    padded = new_floats(batch, height + top + bottom, width + left + right, channels)
    padded[...] = 0.5
    padded[:, top : top + height, left : left + width] = as_floats(image)
    mask = np.ones((1, *padded.shape[1:3]), np.float32)
    inside = mask[0, top : top + height, left : left + width]
    inside[...] = 0
    if feathering > 0 and 2 * feathering < height and 2 * feathering < width:
        row, column = np.arange(height)[:, None], np.arange(width)[None, :]
        far = np.full((1, 1), max(height, width))
        distance = np.minimum(
            np.minimum(row if top else far, height - row if bottom else far),
            np.minimum(column if left else far, width - column if right else far),
        )
        near = np.maximum(feathering - distance, 0) / feathering
        inside[...] = near * near
    return padded, mask


NODES: Mapping[str, Callable[..., object]] = {
    "ImageCrop": _crop,
    "ImageFlip": _flip,
    "ImageRotate": _rotate,
    "ImageFromBatch": _from_batch,
    "RepeatImageBatch": _repeat,
    "ImageBatch": _batch,
    "ImageStitch": _stitch,
    "ImagePadForOutpaint": _pad_for_outpaint,
}
