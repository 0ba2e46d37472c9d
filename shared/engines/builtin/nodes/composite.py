"""Nodes that combine pictures."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import numpy.typing as npt

from shared.engines.builtin.nodes.scale import resize, resize_cropped
from shared.engines.builtin.pixels import (
    Mask,
    NodeFailed,
    Picture,
    as_floats,
    by_bands,
    fit_batch,
    new_floats,
    require_same,
    same_form,
)

__all__ = ["NODES"]

_Floats = npt.NDArray[np.float32]


def _without_extra_alpha(over: Picture, under: Picture, what: str) -> Picture:
    """The server drops the alpha of a picture laid over one without, and fails the other way round."""
    if over.shape[3] == 4 and under.shape[3] == 3:
        return over[..., :3]
    require_same(what, under.shape[3], over.shape[3])
    return over


def _blend(*, image1: Picture, image2: Picture, blend_factor: float, blend_mode: str) -> Picture:
    second = _without_extra_alpha(image2, image1, "the channels of the two pictures")
    if second.shape != image1.shape:
        second = resize_cropped(second, image1.shape[2], image1.shape[1], "bicubic")
    if 1 not in {len(image1), len(second)}:
        require_same("the batches of the two pictures", len(image1), len(second))
    if blend_mode not in _MODES:
        raise NodeFailed(f"{blend_mode!r} is no way to blend; use one of {', '.join(_MODES)}")
    result = new_floats(max(len(image1), len(second)), *image1.shape[1:])
    by_bands(partial(_blended, blend_mode, blend_factor), result, image1, second)
    return result


def _blended(mode: str, factor: float, out: _Floats, first: Picture, second: Picture) -> None:
    under, over = as_floats(first), as_floats(second)
    np.multiply(_MODES[mode](under, over), np.float32(factor), out=out)
    out += under * np.float32(1 - factor)
    np.clip(out, 0, 1, out=out)


def _overlay(a: _Floats, b: _Floats) -> _Floats:
    return np.where(a <= 0.5, 2 * a * b, 1 - 2 * (1 - a) * (1 - b))


def _soft_light(a: _Floats, b: _Floats) -> _Floats:
    root = np.sqrt(np.maximum(a, 0))
    target = np.where(a <= 0.25, ((16 * a - 12) * a + 4) * a, root)
    return np.where(b <= 0.5, a - (1 - 2 * b) * a * (1 - a), a + (2 * b - 1) * (target - a))


_MODES: Mapping[str, Callable[[_Floats, _Floats], _Floats]] = {
    "normal": lambda a, b: b,  # noqa: ARG005
    "multiply": lambda a, b: a * b,
    "screen": lambda a, b: 1 - (1 - a) * (1 - b),
    "overlay": _overlay,
    "soft_light": _soft_light,
    "difference": lambda a, b: a - b,
}


def _composite_masked(
    *, destination: Picture, source: Picture, x: int, y: int, resize_source: bool, mask: Mask | None = None
) -> Picture:
    source = _without_extra_alpha(source, destination, "the channels of destination and source")
    batch, height, width = destination.shape[:3]
    if resize_source:
        source = resize(source, width, height, "bilinear")
    source = fit_batch(source, batch)
    x, y = min(x, width), min(y, height)
    if x < 0 or y < 0:
        raise NodeFailed(f"the source cannot lie at a negative position ({x}, {y})")
    shown = source[:, : height - y, : width - x]
    if not shown.size:
        return destination
    area = (slice(None), slice(y, y + shown.shape[1]), slice(x, x + shown.shape[2]))
    if mask is None:
        under, over = same_form(destination, shown)
        result = under.copy()
        result[area] = over
        return result
    weights = fit_batch(resize(mask[..., None], source.shape[2], source.shape[1], "bilinear"), batch)
    result = as_floats(destination)
    result = result.copy() if result is destination else result
    by_bands(_laid_over, result[area], shown, weights[:, : shown.shape[1], : shown.shape[2]])
    return result


def _laid_over(out: _Floats, source: Picture, weights: _Floats) -> None:
    """`out` holds the destination on entry."""
    out *= 1 - weights
    out += as_floats(source) * weights


def _join_alpha(*, image: Picture, alpha: Mask) -> Picture:
    batch = min(len(image), len(alpha))
    height, width = image.shape[1:3]
    result = new_floats(batch, height, width, 4)
    result[..., :3] = as_floats(image[:batch, ..., :3])
    result[..., 3:] = 1 - resize(alpha[:batch, ..., None], width, height, "bilinear")
    return result


def _split_alpha(*, image: Picture) -> tuple[Picture, Mask]:
    if image.shape[3] > 3:
        return image[..., :3], 1 - as_floats(image[..., 3])
    return image, np.zeros(image.shape[:3], np.float32)


def _porter_duff(
    *, source: Picture, source_alpha: Mask, destination: Picture, destination_alpha: Mask, mode: str
) -> tuple[Picture, Mask]:
    if mode not in _PORTER_DUFF:
        raise NodeFailed(f"{mode!r} is no way to compose; use one of {', '.join(_PORTER_DUFF)}")
    require_same("the channels of source and destination", source.shape[3], destination.shape[3])
    batch = min(len(source), len(source_alpha), len(destination), len(destination_alpha))
    size = (destination.shape[2], destination.shape[1])
    a = 1 - _fitted(source_alpha[:batch, ..., None], size)
    b = 1 - _fitted(destination_alpha[:batch, ..., None], size)
    x, y = _fitted(source[:batch], size) * a, _fitted(destination[:batch], size) * b
    color, alpha = _composed(mode, a, b, x, y)
    return color, 1 - alpha[..., 0]


def _fitted(layer: Picture, size: tuple[int, int]) -> _Floats:
    if (layer.shape[2], layer.shape[1]) == size:
        return as_floats(layer)
    return as_floats(resize_cropped(layer, size[0], size[1], "bicubic"))


def _composed(mode: str, a: _Floats, b: _Floats, x: _Floats, y: _Floats) -> tuple[_Floats, _Floats]:
    """With alphas a, b and premultiplied colours x, y; the colour is divided by alpha again."""
    alpha, color = _PORTER_DUFF[mode](a, b, x, y)
    visible = alpha > 1e-5
    color = np.where(visible, color / np.where(visible, alpha, 1), 0)
    return np.clip(color, 0, 1).astype(np.float32), alpha.astype(np.float32)


def _overlaid(a: _Floats, b: _Floats, x: _Floats, y: _Floats) -> _Floats:
    """As the server has it: (b - x)(a - y), where the literature has (a - x)(b - y)."""
    return np.where(2 * y < b, 2 * x * y, a * b - 2 * (b - x) * (a - y))


_PORTER_DUFF: Mapping[str, Callable[[_Floats, _Floats, _Floats, _Floats], tuple[_Floats, _Floats]]] = {
    "ADD": lambda a, b, x, y: (np.clip(a + b, 0, 1), np.clip(x + y, 0, 1)),
    "CLEAR": lambda a, b, x, y: (a * 0 + b * 0, x * 0 + y * 0),
    "DARKEN": lambda a, b, x, y: (a + b - a * b, (1 - b) * x + (1 - a) * y + np.minimum(x, y)),
    "DST": lambda a, b, x, y: (b, y),  # noqa: ARG005
    "DST_ATOP": lambda a, b, x, y: (a, a * y + (1 - b) * x),
    "DST_IN": lambda a, b, x, y: (a * b, y * a),  # noqa: ARG005
    "DST_OUT": lambda a, b, x, y: ((1 - a) * b, (1 - a) * y),  # noqa: ARG005
    "DST_OVER": lambda a, b, x, y: (b + (1 - b) * a, y + (1 - b) * x),
    "LIGHTEN": lambda a, b, x, y: (a + b - a * b, (1 - b) * x + (1 - a) * y + np.maximum(x, y)),
    "MULTIPLY": lambda a, b, x, y: (a * b, x * y),
    "OVERLAY": lambda a, b, x, y: (a + b - a * b, _overlaid(a, b, x, y)),
    "SCREEN": lambda a, b, x, y: (a + b - a * b, x + y - x * y),
    "SRC": lambda a, b, x, y: (a, x),  # noqa: ARG005
    "SRC_ATOP": lambda a, b, x, y: (b, b * x + (1 - a) * y),
    "SRC_IN": lambda a, b, x, y: (a * b, x * b),  # noqa: ARG005
    "SRC_OUT": lambda a, b, x, y: ((1 - b) * a, (1 - b) * x),  # noqa: ARG005
    "SRC_OVER": lambda a, b, x, y: (a + (1 - a) * b, x + (1 - a) * y),
    "XOR": lambda a, b, x, y: ((1 - b) * a + (1 - a) * b, (1 - b) * x + (1 - a) * y),
}

NODES: Mapping[str, Callable[..., object]] = {
    "ImageBlend": _blend,
    "ImageCompositeMasked": _composite_masked,
    "JoinImageWithAlpha": _join_alpha,
    "SplitImageWithAlpha": _split_alpha,
    "PorterDuffImageComposite": _porter_duff,
}
