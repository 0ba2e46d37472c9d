"""Greys of sixteen bits in eight, for presets: loaders clip them to white instead of scaling them."""

from pathlib import Path

from PIL import Image, ImageSequence

from shared.media import ImageInfo, open_image

__all__ = ["write_in_eight_bits"]

_LEVELS = 65535 / 255
_ORIENTATION = 0x0112


def write_in_eight_bits(source: Path, target: Path, info: ImageInfo) -> None:
    """All pages of `source`, scaled, as a TIFF that keeps the orientation in `info`.

    Blocking. Raises what `shared.media.open_image` raises.
    """
    with open_image(source) as image:
        first, *rest = (_scaled(page) for page in ImageSequence.Iterator(image))
    exif = Image.Exif()
    exif[_ORIENTATION] = info.orientation
    first.save(target, "TIFF", save_all=True, append_images=rest, exif=exif)


def _scaled(page: Image.Image) -> Image.Image:
    return page.convert("I").point(lambda level: level * (1 / _LEVELS) + 0.5).convert("L")
