"""Nodes that make and change masks."""

from collections.abc import Callable, Mapping

import numpy as np

from shared.engines.builtin.node_run import NodeRun
from shared.engines.builtin.pixels import Mask, NodeFailed, Picture, as_floats, by_bands, new_floats

__all__ = ["NODES", "NODES_WITH_RUN"]

_CHANNELS = {"red": 0, "green": 1, "blue": 2, "alpha": 3}
_ARITHMETIC = {"multiply": np.multiply, "add": np.add, "subtract": np.subtract}
_LOGIC = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}


def _solid(*, value: float, width: int, height: int) -> Mask:
    return np.broadcast_to(np.float32(value), (1, height, width))


def _invert(*, mask: Mask) -> Mask:
    return 1 - mask


def _from_image(*, image: Picture, channel: str) -> Mask:
    index = _CHANNELS[channel]
    if index >= image.shape[3]:
        raise NodeFailed("a picture without alpha has no alpha channel to take")
    return as_floats(image[..., index])


def _to_image(*, mask: Mask) -> Picture:
    return np.broadcast_to(mask[..., None], (*mask.shape, 3))


def _from_color(*, image: Picture, color: int) -> Mask:
    wanted = np.array([color >> 16 & 255, color >> 8 & 255, color & 255], np.float32)
    result = new_floats(*image.shape[:3])

    def match(out: Mask, values: Picture) -> None:
        if values.dtype == np.uint8:
            levels = values[..., :3]
        else:
            levels = np.round(np.clip(values[..., :3], 0, 1) * np.float32(255))
        out[...] = (levels == wanted).all(axis=-1)

    by_bands(match, result, image)
    return result


def _crop(*, mask: Mask, x: int, y: int, width: int, height: int) -> Mask:
    return mask[:, y : y + height, x : x + width]


def _threshold(*, mask: Mask, value: float) -> Mask:
    return (mask > np.float32(value)).astype(np.float32)


def _feather(*, mask: Mask, left: int, top: int, right: int, bottom: int) -> Mask:
    """As the server does it: right and bottom also darken the first column and row."""
    result = mask.copy()
    height, width = mask.shape[1:]
    columns, rows = result.swapaxes(0, 2), result.swapaxes(0, 1)
    for lines, size, first, last in ((columns, width, left, right), (rows, height, top, bottom)):
        first, last = min(first, size), min(last, size)  # noqa: PLW2901
        for step in range(first):
            lines[step] *= np.float32((step + 1) / first)
        for step in range(last):
            lines[-step] *= np.float32((step + 1) / last)
    return result


def _grow(run: NodeRun, *, mask: Mask, expand: int, tapered_corners: bool) -> Mask:
    """The border is mirrored, so that what lies outside never counts."""
    choose = np.maximum if expand > 0 else np.minimum
    for _ in range(min(abs(expand), sum(mask.shape[1:]))):
        run.pause()
        grown = _with_neighbours(choose, mask, mask, axis=1)
        grown = _with_neighbours(choose, grown, mask if tapered_corners else grown, axis=2)
        if np.array_equal(grown, mask):
            break
        mask = grown
    return mask


def _with_neighbours(choose: np.ufunc, values: Mask, neighbours: Mask, *, axis: int) -> Mask:
    result = values.copy()
    out, beside = result.swapaxes(axis, 0), neighbours.swapaxes(axis, 0)
    choose(out[1:], beside[:-1], out=out[1:])
    choose(out[:-1], beside[1:], out=out[:-1])
    return result


def _composite(*, destination: Mask, source: Mask, x: int, y: int, operation: str) -> Mask:
    height, width = destination.shape[1:]
    if x < 0 or y < 0:
        raise NodeFailed(f"the source cannot lie at a negative position ({x}, {y})")
    if 1 not in {len(destination), len(source)} and len(destination) != len(source):
        raise NodeFailed(f"the batches of the two masks do not fit: {len(destination)} and {len(source)}")
    shown = source[:, : max(0, height - y), : max(0, width - x)]
    for start, size, other, name in ((x, width, source.shape[2], "x"), (y, height, source.shape[1], "y")):
        if size < start < size + other - 1:
            raise NodeFailed(f"the source lies outside of the destination ({name} = {start}, size {size})")
    result = np.repeat(destination, len(source) // len(destination) or 1, axis=0)
    if shown.size:
        area = result[:, y : y + shown.shape[1], x : x + shown.shape[2]]
        area[...] = _combined(area, shown, operation)
    return np.clip(result, 0, 1)


def _combined(under: Mask, over: Mask, operation: str) -> Mask:
    if operation in _ARITHMETIC:
        return np.asarray(_ARITHMETIC[operation](under, over))
    first, second = np.round(under) != 0, np.round(over) != 0
    return np.asarray(_LOGIC[operation](first, second), np.float32)


NODES: Mapping[str, Callable[..., object]] = {
    "SolidMask": _solid,
    "InvertMask": _invert,
    "ImageToMask": _from_image,
    "MaskToImage": _to_image,
    "ImageColorToMask": _from_color,
    "CropMask": _crop,
    "ThresholdMask": _threshold,
    "FeatherMask": _feather,
    "MaskComposite": _composite,
}
NODES_WITH_RUN: Mapping[str, Callable[..., object]] = {"GrowMask": _grow}
