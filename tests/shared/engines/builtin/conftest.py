"""A real server and the pictures on which the built-in engine is compared with it."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shared.presets.bundle import sample_photos_folder
from tests.support.beside_comfyui import Server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server(os.environ["COMFYUI_URL"])
    yield server
    server.close()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Photographs in the forms in which they come out of cameras, phones and other programs."""
    folder = tmp_path_factory.mktemp("pictures")
    photos = sorted(sample_photos_folder().glob("*.jpg"))
    with Image.open(photos[0]) as image:
        image.thumbnail((431, 431))
        photo = image.convert("RGB")
    with Image.open(photos[-1]) as image:
        other = image.convert("RGB").resize((333, 217))
    turned = Image.Exif()
    turned[0x0112] = 8
    alpha = Image.linear_gradient("L").resize(photo.size)
    veiled = photo.copy()
    veiled.putalpha(alpha)
    deep = np.asarray(photo.convert("L"), np.uint16) * 257
    frames = [photo.resize((64, 48)), other.resize((64, 48)), photo.resize((64, 48)).rotate(180)]
    made: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "photo.jpg": (photo, {"quality": 92}),
        "photo.png": (photo, {}),
        "other.png": (other, {}),
        "turned.jpg": (photo, {"exif": turned, "quality": 92}),
        "veiled.png": (veiled, {}),
        "veiled.webp": (veiled, {"lossless": True}),
        "cmyk.jpg": (photo.convert("CMYK"), {"quality": 92}),
        "cmyk.tif": (photo.convert("CMYK"), {}),
        "deep.png": (Image.fromarray(deep), {}),
        "deep32.tif": (Image.fromarray(deep.astype(np.int32)), {}),
        "grey.jpg": (photo.convert("L"), {}),
        "greyalpha.png": (veiled.convert("LA"), {}),
        "palette.png": (photo.quantize(37), {}),
        "bilevel.png": (photo.convert("1"), {}),
        "clear.gif": (photo.quantize(30), {"transparency": 3}),
        "clear.png": (photo.quantize(30), {"transparency": bytes(range(0, 240, 8))}),
        "moving.gif": (frames[0], {"save_all": True, "append_images": frames[1:]}),
        "moving.webp": (frames[0], {"save_all": True, "append_images": frames[1:], "lossless": True}),
        "photo.bmp": (photo, {}),
        "photo.avif": (photo, {"quality": 90}),
        "one.png": (photo.resize((1, 1)), {}),
    }
    for name, (image, options) in made.items():
        image.save(folder / name, **options)
    return {path.name: path for path in folder.iterdir()}
