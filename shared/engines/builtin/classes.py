"""The node classes that the built-in engine knows, as the real server declares them.

Imports nothing heavy: the window and the presets ask it what is instant.
"""

from types import MappingProxyType

from shared.engines.builtin.spec import (
    ANYTHING,
    BOOLEAN,
    FILE,
    IMAGE,
    MASK,
    TEXT,
    boolean,
    combo,
    decimal,
    integer,
    listed,
    node,
    optional,
    text,
)
from shared.errors import JsonValue

__all__ = ["NODE_CLASSES", "NODE_SPECS", "object_info"]

_LARGEST = 2**63 - 1
_SIDE = integer(512, 1, 16384)
_SIDE_OR_0 = integer(512, 0, 16384)
_OFFSET = integer(0, 0, 16384)
_COLOR = integer(0, 0, 0xFFFFFF)
_METHOD = listed("nearest-exact", "bilinear", "area", "bicubic", "lanczos")
_ON = boolean(default=True)
_OFF = boolean(default=False)

_SPECS = (
    node("EmptyImage", "IMAGE", width=_SIDE, height=_SIDE, batch_size=integer(1, 1, 4096), color=_COLOR),
    node("GetImageSize", "INT INT INT", image=IMAGE),
    node("ImageBatch", "IMAGE", image1=IMAGE, image2=IMAGE),
    node(
        "ImageCompositeMasked",
        "IMAGE",
        destination=IMAGE,
        source=IMAGE,
        x=_OFFSET,
        y=_OFFSET,
        resize_source=_OFF,
        mask=optional(MASK),
    ),
    node("ImageInvert", "IMAGE", image=IMAGE),
    node(
        "ImagePadForOutpaint",
        "IMAGE MASK",
        image=IMAGE,
        left=_OFFSET,
        top=_OFFSET,
        right=_OFFSET,
        bottom=_OFFSET,
        feathering=integer(40, 0, 16384),
    ),
    node("LoadImage", "IMAGE MASK", image=FILE),
    node("PreviewImage", "", is_output=True, images=IMAGE),
    node("SaveImage", "", is_output=True, images=IMAGE, filename_prefix=text("ComfyUI")),
    node(
        "SaveAnimatedPNG",
        "",
        is_output=True,
        images=IMAGE,
        filename_prefix=text("ComfyUI"),
        fps=decimal(6.0, 0.01, 1000.0, 0.01),
        compress_level=integer(4, 0, 9),
    ),
    node(
        "SaveAnimatedWEBP",
        "",
        is_output=True,
        images=IMAGE,
        filename_prefix=text("ComfyUI"),
        fps=decimal(6.0, 0.01, 1000.0, 0.01),
        lossless=_ON,
        quality=integer(80, 0, 100),
        method=listed("default", "fastest", "slowest"),
    ),
    node("ImageFromBatch", "IMAGE", image=IMAGE, batch_index=integer(0, 0, 4095), length=integer(1, 1, 4096)),
    node("RepeatImageBatch", "IMAGE", image=IMAGE, amount=integer(1, 1, 4096)),
    node(
        "ImageBlend",
        "IMAGE",
        image1=IMAGE,
        image2=IMAGE,
        blend_factor=decimal(0.5, 0.0, 1.0, 0.01),
        blend_mode=combo("normal", "multiply", "screen", "overlay", "soft_light", "difference"),
    ),
    node(
        "ImageBlur", "IMAGE", image=IMAGE, blur_radius=integer(1, 1, 31), sigma=decimal(1.0, 0.1, 10.0, 0.1)
    ),
    node(
        "ImageQuantize",
        "IMAGE",
        image=IMAGE,
        colors=integer(256, 1, 256),
        dither=combo("none", "floyd-steinberg", "bayer-2", "bayer-4", "bayer-8", "bayer-16"),
    ),
    node(
        "ImageSharpen",
        "IMAGE",
        image=IMAGE,
        sharpen_radius=integer(1, 1, 31),
        sigma=decimal(1.0, 0.1, 10.0, 0.01),
        alpha=decimal(1.0, 0.0, 5.0, 0.01),
    ),
    node("ImageCrop", "IMAGE", image=IMAGE, width=_SIDE, height=_SIDE, x=_OFFSET, y=_OFFSET),
    node("ImageFlip", "IMAGE", image=IMAGE, flip_method=listed("x-axis: vertically", "y-axis: horizontally")),
    node(
        "ImageRotate",
        "IMAGE",
        image=IMAGE,
        rotation=listed("none", "90 degrees", "180 degrees", "270 degrees"),
    ),
    node(
        "ImageStitch",
        "IMAGE",
        image1=IMAGE,
        direction=listed("right", "down", "left", "up", default="right"),
        match_image_size=_ON,
        spacing_width=integer(0, 0, 1024),
        spacing_color=listed("white", "black", "red", "green", "blue", default="white"),
        image2=optional(IMAGE),
    ),
    node(
        "ResizeAndPadImage",
        "IMAGE",
        image=IMAGE,
        target_width=_SIDE,
        target_height=_SIDE,
        padding_color=listed("white", "black"),
        interpolation=listed("area", "bicubic", "nearest-exact", "bilinear", "lanczos"),
    ),
    node(
        "ImageScale",
        "IMAGE",
        image=IMAGE,
        upscale_method=_METHOD,
        width=_SIDE_OR_0,
        height=_SIDE_OR_0,
        crop=listed("disabled", "center"),
    ),
    node(
        "ImageScaleBy", "IMAGE", image=IMAGE, upscale_method=_METHOD, scale_by=decimal(1.0, 0.01, 8.0, 0.01)
    ),
    node(
        "ImageScaleToMaxDimension",
        "IMAGE",
        image=IMAGE,
        upscale_method=listed("area", "lanczos", "bilinear", "nearest-exact", "bilinear", "bicubic"),
        largest_size=_SIDE_OR_0,
    ),
    node(
        "ImageScaleToTotalPixels",
        "IMAGE",
        image=IMAGE,
        upscale_method=combo("nearest-exact", "bilinear", "area", "bicubic", "lanczos"),
        megapixels=decimal(1.0, 0.01, 16.0, 0.01),
    ),
    node("CropMask", "MASK", mask=MASK, x=_OFFSET, y=_OFFSET, width=_SIDE, height=_SIDE),
    node("FeatherMask", "MASK", mask=MASK, left=_OFFSET, top=_OFFSET, right=_OFFSET, bottom=_OFFSET),
    node("GrowMask", "MASK", mask=MASK, expand=integer(0, -16384, 16384), tapered_corners=_ON),
    node("ImageColorToMask", "MASK", image=IMAGE, color=_COLOR),
    node("ImageToMask", "MASK", image=IMAGE, channel=listed("red", "green", "blue", "alpha")),
    node("InvertMask", "MASK", mask=MASK),
    node("LoadImageMask", "MASK", image=FILE, channel=listed("alpha", "red", "green", "blue")),
    node(
        "MaskComposite",
        "MASK",
        destination=MASK,
        source=MASK,
        x=_OFFSET,
        y=_OFFSET,
        operation=listed("multiply", "add", "subtract", "and", "or", "xor"),
    ),
    node("MaskPreview", "", is_output=True, mask=MASK),
    node("MaskToImage", "IMAGE", mask=MASK),
    node("SolidMask", "MASK", value=decimal(1.0, 0.0, 1.0, 0.01), width=_SIDE, height=_SIDE),
    node("ThresholdMask", "MASK", mask=MASK, value=decimal(0.5, 0.0, 1.0, 0.01)),
    node("JoinImageWithAlpha", "IMAGE", image=IMAGE, alpha=MASK),
    node(
        "PorterDuffImageComposite",
        "IMAGE MASK",
        source=IMAGE,
        source_alpha=MASK,
        destination=IMAGE,
        destination_alpha=MASK,
        mode=combo(
            "ADD",
            "CLEAR",
            "DARKEN",
            "DST",
            "DST_ATOP",
            "DST_IN",
            "DST_OUT",
            "DST_OVER",
            "LIGHTEN",
            "MULTIPLY",
            "OVERLAY",
            "SCREEN",
            "SRC",
            "SRC_ATOP",
            "SRC_IN",
            "SRC_OUT",
            "SRC_OVER",
            "XOR",
            default="DST",
        ),
    ),
    node("SplitImageWithAlpha", "IMAGE MASK", image=IMAGE),
    node("PreviewAny", "", is_output=True, source=ANYTHING),
    node("PrimitiveBoolean", "BOOLEAN", value=BOOLEAN),
    node("PrimitiveFloat", "FLOAT", value=decimal(None, -_LARGEST, _LARGEST)),
    node("PrimitiveInt", "INT", value=integer(None, -_LARGEST, _LARGEST)),
    node("PrimitiveString", "STRING", value=TEXT),
    node("PrimitiveStringMultiline", "STRING", value=TEXT),
    node(
        "CaseConverter",
        "STRING",
        string=TEXT,
        mode=combo("UPPERCASE", "lowercase", "Capitalize", "Title Case"),
    ),
    node(
        "RegexExtract",
        "STRING",
        string=TEXT,
        regex_pattern=TEXT,
        mode=combo("First Match", "All Matches", "First Group", "All Groups"),
        case_insensitive=_ON,
        multiline=_OFF,
        dotall=_OFF,
        group_index=integer(1, 0, 100),
    ),
    node(
        "RegexMatch",
        "BOOLEAN",
        string=TEXT,
        regex_pattern=TEXT,
        case_insensitive=_ON,
        multiline=_OFF,
        dotall=_OFF,
    ),
    node(
        "RegexReplace",
        "STRING",
        string=TEXT,
        regex_pattern=TEXT,
        replace=TEXT,
        case_insensitive=optional(_ON),
        multiline=optional(_OFF),
        dotall=optional(_OFF),
        count=optional(integer(0, 0, 100)),
    ),
    node("StringConcatenate", "STRING", string_a=TEXT, string_b=TEXT, delimiter=text("")),
    node("StringLength", "INT", string=TEXT),
    node("StringReplace", "STRING", string=TEXT, find=TEXT, replace=TEXT),
    node(
        "StringSubstring",
        "STRING",
        string=TEXT,
        start=integer(None, None, None),
        end=integer(None, None, None),
    ),
    node("StringTrim", "STRING", string=TEXT, mode=combo("Both", "Left", "Right")),
)

NODE_SPECS = MappingProxyType({spec.class_type: spec for spec in _SPECS})
NODE_CLASSES = frozenset(NODE_SPECS)


def object_info() -> dict[str, JsonValue]:
    """The catalogue in the form of the server's GET /object_info."""
    return {class_type: spec.to_json() for class_type, spec in NODE_SPECS.items()}
