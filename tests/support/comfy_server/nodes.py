"""What the stand-in's nodes compute: a few of the real server's nodes, and a sampler that only takes time."""

import json
from collections.abc import Callable
from io import BytesIO

from PIL import Image, ImageFilter, ImageOps
from PIL.PngImagePlugin import PngInfo

__all__ = ["NodeError", "compute", "encode"]


class NodeError(Exception):
    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def compute(class_type: str, inputs: dict, files: dict[str, bytes]) -> tuple[object, ...]:
    """The outputs of a node that neither saves nor samples."""
    if class_type == "LoadImage":
        return _load(inputs["image"], files)
    if class_type not in _COMPUTED:
        raise NodeError("RuntimeError", f"{class_type} cannot run here")
    return _COMPUTED[class_type](inputs)


def _load(name: str, files: dict[str, bytes]) -> tuple[object, ...]:
    try:
        image = Image.open(BytesIO(files[name]))
        image.load()
    except OSError as error:
        message = f"cannot identify image file '/srv/comfy/input/{name}'\n"
        raise NodeError("PIL.UnidentifiedImageError", message) from error
    return [ImageOps.exif_transpose(image).convert("RGB")], Image.new("L", image.size)


def _empty(inputs: dict) -> tuple[object, ...]:
    colour = inputs["color"]
    rgb = (colour >> 16 & 255, colour >> 8 & 255, colour & 255)
    return ([Image.new("RGB", (inputs["width"], inputs["height"]), rgb)] * inputs["batch_size"],)


def _blur(inputs: dict) -> tuple[object, ...]:
    """Not the real kernel, but about its time, and the same refusal of a radius beyond the picture."""
    if any(inputs["blur_radius"] >= min(image.size) for image in inputs["image"]):
        raise NodeError("RuntimeError", "Padding size should be less than the corresponding input dimension")
    return ([image.filter(ImageFilter.GaussianBlur(inputs["blur_radius"])) for image in inputs["image"]],)


_COMPUTED: dict[str, Callable[[dict], tuple[object, ...]]] = {
    "EmptyImage": _empty,
    "ImageBlur": _blur,
    "ImageBlend": lambda inputs: (inputs["image2"],),
    "ImageInvert": lambda inputs: ([ImageOps.invert(image) for image in inputs["image"]],),
    "ImageScale": lambda inputs: (
        [image.resize((inputs["width"], inputs["height"])) for image in inputs["image"]],
    ),
    "JoinImageWithAlpha": lambda inputs: (inputs["image"],),
    "RepeatImageBatch": lambda inputs: (inputs["image"] * inputs["amount"],),
    "EmptyLatentImage": lambda inputs: ((inputs["width"], inputs["height"]),),
    "VAEEncode": lambda inputs: (inputs["pixels"][0].size,),
    "VAEDecode": lambda inputs: ([Image.new("RGB", inputs["samples"], (120, 110, 100))],),
    "KSampler": lambda inputs: (inputs["latent_image"],),
    "CheckpointLoaderSimple": lambda _: ("model", "clip", "vae"),
    "CLIPTextEncode": lambda inputs: (inputs["text"],),
    "PrimitiveString": lambda inputs: (inputs["value"],),
}


def encode(image: Image.Image, format_name: str = "PNG", *, prompt: dict | None = None) -> bytes:
    """Like ComfyUI, with the graph written into a PNG."""
    data, info = BytesIO(), PngInfo()
    if prompt is not None:
        info.add_text("prompt", json.dumps(prompt))
    image.save(data, format_name, **({} if prompt is None else {"pnginfo": info}))
    return data.getvalue()
