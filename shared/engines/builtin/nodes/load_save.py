"""Nodes that read and write picture files."""

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps, ImageSequence, PngImagePlugin

from shared.engines.builtin.node_run import NodeRun
from shared.engines.builtin.pixels import Mask, NodeFailed, Picture, as_batch, as_bytes
from shared.jobs.events import OutputKind
from shared.media import open_image

__all__ = ["NODES", "NODES_WITH_RUN"]

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_WEBP_METHODS = {"default": 4, "fastest": 0, "slowest": 6}
_EXIF_MODEL = 0x0110  # where the server puts the graph in formats without text chunks


def _load(*, image: Path) -> tuple[Picture, Mask]:
    """Alpha is dropped from the picture, and becomes a mask of its own (1 = transparent)."""
    frames: list[Picture] = []
    masks: list[Mask] = []
    for frame in _frames(image):
        pixels = np.asarray(_as_mode(frame, "RGB"))
        if frames and frames[0].shape != pixels.shape:
            continue
        frames.append(pixels)
        masks.append(_alpha_mask(frame))
    return as_batch(frames), as_batch(masks)


def _load_mask(*, image: Path, channel: str) -> Mask:
    frame = next(_frames(image))
    band = _as_mode(frame, "RGBA").getchannel({"alpha": "A"}.get(channel, channel[0].upper()))
    mask = np.divide(np.asarray(band), np.float32(255), dtype=np.float32)
    return np.expand_dims(1 - mask if channel == "alpha" else mask, 0)


def _frames(path: Path) -> Iterator[Image.Image]:
    """Upright; of a multi-picture JPEG only the first picture."""
    with open_image(path) as image:
        for frame in ImageSequence.Iterator(image):
            yield _upright(frame)
            if image.format == "MPO":
                return


def _upright(frame: Image.Image) -> Image.Image:
    frame.load()
    try:
        is_turned = frame.getexif().get(ExifTags.Base.Orientation, 1) != 1
        upright = ImageOps.exif_transpose(frame) if is_turned else frame  # which would copy it anyway
    except SyntaxError:  # broken EXIF counts as none
        upright = frame
    return upright.point(lambda value: value * (1 / 255)) if upright.mode == "I" else upright


def _as_mode(frame: Image.Image, mode: str) -> Image.Image:
    return frame if frame.mode == mode else frame.convert(mode)


def _alpha_mask(frame: Image.Image) -> Mask:
    if frame.mode == "P" and "transparency" in frame.info:
        frame = frame.convert("RGBA")
    if "A" not in frame.getbands():
        return np.zeros((64, 64), np.float32)
    alpha = np.divide(np.asarray(frame.getchannel("A")), np.float32(255), dtype=np.float32)
    return np.asarray(1 - alpha)


def _empty(*, width: int, height: int, batch_size: int, color: int) -> Picture:
    shape = (batch_size, height, width, 3)
    np.empty(shape, np.float32)  # what others will need of it: where there is no room, it fails here
    levels = np.array([color >> 16 & 255, color >> 8 & 255, color & 255], np.uint8)
    return np.broadcast_to(levels, shape)


def _size(run: NodeRun, *, image: Picture) -> tuple[int, int, int]:
    batch, height, width = image.shape[:3]
    run.say(f"width: {width}, height: {height}\n batch size: {batch}")
    return width, height, batch


def _save(run: NodeRun, *, images: Picture, filename_prefix: str) -> None:
    _write_each(run, images, filename_prefix, OutputKind.IMAGE)


def _preview(run: NodeRun, *, images: Picture) -> None:
    _write_each(run, images, _temporary_prefix(run.node), OutputKind.PREVIEW)


def _preview_mask(run: NodeRun, *, mask: Mask) -> None:
    _preview(run, images=np.broadcast_to(mask[..., None], (*mask.shape, 3)))


def _temporary_prefix(node: str) -> str:
    """The server draws five letters for each preview node; these stay the same for a node id."""
    digest = hashlib.sha256(node.encode()).digest()
    return "ComfyUI_temp_" + "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:5])


def _write_each(run: NodeRun, images: Picture, prefix: str, kind: OutputKind) -> None:
    pixels = _writable(images)
    height, width = pixels.shape[1:3]
    names = run.names.batch(prefix, len(pixels), width=width, height=height, suffix=".png")
    for name, values in zip(names, pixels, strict=True):
        run.pause()
        # Runs of equal bytes after Pillow's row filters: as small as level 4 on photographs, and
        # twice as fast as level 1.
        _image(values).save(
            run.new_file(name, ".png", kind),
            "PNG",
            compress_level=1,
            compress_type=zlib.Z_RLE,
            pnginfo=_graph_chunk(run),
        )


def _save_animated_png(
    run: NodeRun, *, images: Picture, filename_prefix: str, fps: float, compress_level: int
) -> None:
    _write_animation(
        run, images, filename_prefix, fps, "PNG", compress_level=compress_level, pnginfo=_graph_chunk(run)
    )


def _save_animated_webp(
    run: NodeRun,
    *,
    images: Picture,
    filename_prefix: str,
    fps: float,
    lossless: bool,
    quality: int,
    method: str,
) -> None:
    exif = Image.Exif()
    exif[_EXIF_MODEL] = f"prompt:{run.graph_text}"
    _write_animation(
        run,
        images,
        filename_prefix,
        fps,
        "WEBP",
        lossless=lossless,
        quality=quality,
        method=_WEBP_METHODS[method],
        exif=exif,
    )


def _write_animation(
    run: NodeRun, images: Picture, prefix: str, fps: float, format_: str, **options: Any
) -> None:
    pixels = _writable(images)
    height, width = pixels.shape[1:3]
    suffix = f".{format_.lower()}"
    name = run.names.animation(prefix, width=width, height=height, suffix=suffix)
    first, *rest = (_image(values) for values in pixels)
    first.save(
        run.new_file(name, suffix, OutputKind.IMAGE),
        format_,
        save_all=True,
        append_images=rest,
        duration=int(1000.0 / fps),
        **options,
    )


def _writable(images: Picture) -> Picture:
    if not images.size:
        raise NodeFailed("there is nothing to save: the picture is empty")
    return as_bytes(images)


def _image(values: Picture) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(values))


def _graph_chunk(run: NodeRun) -> PngImagePlugin.PngInfo:
    chunk = PngImagePlugin.PngInfo()
    chunk.add_text("prompt", run.graph_text)
    return chunk


def _preview_any(run: NodeRun, *, source: object) -> None:
    path = run.new_file(f"{_temporary_prefix(run.node)}.txt", ".txt", OutputKind.TEXT)
    path.write_text(_as_text(source), encoding="utf-8", newline="")


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool | int | float):
        return str(value)
    return (
        f"picture or mask of shape {list(value.shape)}"
        if isinstance(value, np.ndarray)
        else json.dumps(value)
    )


NODES: Mapping[str, Callable[..., object]] = {
    "LoadImage": _load,
    "LoadImageMask": _load_mask,
    "EmptyImage": _empty,
}
NODES_WITH_RUN: Mapping[str, Callable[..., object]] = {
    "GetImageSize": _size,
    "SaveImage": _save,
    "PreviewImage": _preview,
    "MaskPreview": _preview_mask,
    "SaveAnimatedPNG": _save_animated_png,
    "SaveAnimatedWEBP": _save_animated_webp,
    "PreviewAny": _preview_any,
}
