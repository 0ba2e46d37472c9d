"""Pictures decoded for the screen by Pillow and its friends; loaded in a child process alone."""

from multiprocessing.connection import Connection
from pathlib import Path

from PIL import Image, ImageOps

from desktop.runtime.screen_wire import send_picture
from desktop.views import ScreenPicture
from shared.errors import SafelightError
from shared.media import open_image

__all__ = ["read_screen_picture", "serve"]


def serve(connection: Connection) -> None:
    """Answer until the parent is gone."""
    while True:
        try:
            path, side = connection.recv()
            send_picture(connection, read_screen_picture(Path(path), side))
        except (EOFError, OSError):
            return


def read_screen_picture(path: Path, side: int) -> ScreenPicture | None:
    """Upright, its longer side at most `side`; None for what cannot be decoded."""
    try:
        with open_image(path, side=side) as image:
            full_width, full_height = image.info.get("full_size", image.size)
            profile = image.info.get("icc_profile")
            small = _eight_bits(image)
            small.thumbnail((side, side), reducing_gap=2.0)
            shown = ImageOps.exif_transpose(small)
            if (shown.width > shown.height) != (small.width > small.height):
                full_width, full_height = full_height, full_width
            alpha = shown.has_transparency_data
            pixels = shown.convert("RGBA" if alpha else "RGB")
    except (SafelightError, OSError):
        return None
    return ScreenPicture(
        width=pixels.width,
        height=pixels.height,
        full_width=full_width,
        full_height=full_height,
        alpha=alpha,
        data=pixels.tobytes(),
        icc=profile if image.mode in {"RGB", "RGBA"} else None,
    )


def _eight_bits(image: Image.Image) -> Image.Image:
    """Pillow cuts off what is brighter than 255; sixteen bits are brought down to eight."""
    if not image.mode.startswith("I"):
        return image
    return image.convert("I").point(lambda level: level * (1 / 256)).convert("L")
