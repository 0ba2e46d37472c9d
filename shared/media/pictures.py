"""Pictures: facts from the header alone, and a full decode of every frame."""

import contextlib
import importlib
import importlib.util
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageFile

from shared.media.ends import has_its_end
from shared.media.errors import BrokenMedia, MediaTooLarge, UnsupportedMedia
from shared.media.kinds import IMAGE_FORMATS, RAW_SUFFIXES, RAW_TYPE, sniff
from shared.media.limits import DEFAULT_INPUT_LIMITS, MediaLimits, checked_head, require_pixels

__all__ = ["ImageInfo", "check_image", "open_image", "probe_image", "verify_image"]

# Our own limits come before any decoding and are errors; Pillow's guard is a warning first.
Image.MAX_IMAGE_PIXELS = None
warnings.filterwarnings("ignore", module=r"PIL\.")

_BROKEN = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, AttributeError,
    OverflowError, RuntimeError, ZeroDivisionError, struct.error, zlib.error,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInfo:
    """`width` and `height` in pixels as stored; `orientation` is EXIF's, 1 to 8.

    `is_deep`: a grey of sixteen bits, which loaders do not scale to eight.
    """

    media_type: str
    width: int
    height: int
    frames: int
    bytes: int
    has_alpha: bool
    orientation: int
    is_deep: bool = False

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height once the orientation is applied."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def probe_image(path: Path, limits: MediaLimits = DEFAULT_INPUT_LIMITS) -> ImageInfo:
    """Facts from magic bytes and header alone; limits are checked before anything is decoded.

    Raises UnsupportedMedia, MediaTooLarge, BrokenMedia.
    """
    with _opened(path, limits) as (media_type, image):
        return _facts(path, media_type, image, limits)


def check_image(path: Path, limits: MediaLimits = DEFAULT_INPUT_LIMITS) -> ImageInfo:
    """What can be told of a picture without decoding it: header, limits, and whether its end is there.

    Raises UnsupportedMedia, MediaTooLarge, BrokenMedia.
    """
    info = probe_image(path, limits)
    _require_end(path, info.media_type)
    return info


def verify_image(path: Path, limits: MediaLimits = DEFAULT_INPUT_LIMITS) -> ImageInfo:
    """Decode every frame completely. Raises UnsupportedMedia, MediaTooLarge, BrokenMedia."""
    with _opened(path, limits) as (media_type, image):
        info = _facts(path, media_type, image, limits)
        pixels = 0
        for frame in range(info.frames):
            image.seek(frame)
            pixels += image.width * image.height  # pages of a TIFF differ in size
            require_pixels(path, pixels, limits)
            image.load()
    _require_end(path, info.media_type)
    return info


@contextlib.contextmanager
def open_image(
    path: Path, limits: MediaLimits = DEFAULT_INPUT_LIMITS, *, side: int | None = None
) -> Iterator[Image.Image]:
    """The picture behind its checks, not yet decoded; what cannot be decoded inside is BrokenMedia.

    RAW files arrive developed, as 8-bit RGB; at half their size, four times as fast, where `side`
    asks for no more, and with the whole one as `full_size` in `info`.
    """
    with _opened(path, limits, side=side) as (_, image):
        yield image


@contextlib.contextmanager
def _opened(path: Path, limits: MediaLimits, *, side: int | None = None) -> Iterator[tuple[str, Image.Image]]:
    with path.open("rb") as file:
        head = checked_head(path, file, limits)
        media_type = _image_type(path, head)
        _refuse_large_webp(path, head, limits)
        try:
            image = _open_raw(path, limits, side) if media_type == RAW_TYPE else _open(media_type, file)
            with image:
                require_pixels(path, image.width * image.height, limits)
                yield media_type, image
        except MemoryError as error:
            raise MediaTooLarge(
                f"{path.name} does not fit into memory: use a smaller copy", file=path.name
            ) from error
        except _BROKEN as error:
            raise BrokenMedia(
                f"{path.name} is damaged or incomplete: copy it again from where it came", file=path.name
            ) from error


def _image_type(path: Path, head: bytes) -> str:
    media_type = sniff(head)
    if media_type == "image/tiff" and path.suffix.lower() in RAW_SUFFIXES:
        media_type = RAW_TYPE
    if media_type == "text/html":
        raise UnsupportedMedia(
            f"{path.name} is a web page, not a picture: download the picture itself", file=path.name
        )
    if media_type == RAW_TYPE:
        _require_library(path, "rawpy", "camera RAW", "raw")
    elif media_type == "image/heic":
        _require_library(path, "pillow_heif", "HEIC", "heic")
    elif media_type is None or media_type not in IMAGE_FORMATS:
        raise UnsupportedMedia(
            f"{path.name} is not a picture that can be read: save it as JPEG, PNG or TIFF first",
            file=path.name,
        )
    return media_type


def _require_library(path: Path, module: str, kind: str, extra: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise UnsupportedMedia(
            f"{path.name} is a {kind} file: install {module} (pip install 'safelight[{extra}]') to read it",
            file=path.name,
        )


def _open(media_type: str, file: BinaryIO) -> Image.Image:
    if media_type == "image/heic":
        importlib.import_module("pillow_heif").register_heif_opener()
    return Image.open(file, formats=[IMAGE_FORMATS[media_type]])


def _open_raw(path: Path, limits: MediaLimits, side: int | None) -> Image.Image:
    rawpy = importlib.import_module("rawpy")
    try:
        with rawpy.imread(str(path)) as raw:
            sizes = raw.sizes
            require_pixels(path, sizes.width * sizes.height, limits)
            half = side is not None and max(sizes.width, sizes.height) >= 2 * side
            image = Image.fromarray(raw.postprocess(use_camera_wb=True, half_size=half))
    except rawpy.LibRawError as error:
        raise BrokenMedia(
            f"{path.name} is damaged, or a RAW file of a camera that is not known here: copy it again, "
            "or save it as TIFF first",
            file=path.name,
        ) from error
    if half:
        image.info["full_size"] = (image.width * 2, image.height * 2)
    return image


def _refuse_large_webp(path: Path, head: bytes, limits: MediaLimits) -> None:
    """libwebp sets the whole canvas aside on opening: read its size first (RFC 9649)."""
    if head[8:16] == b"WEBPVP8X" and len(head) >= 30:
        width = 1 + int.from_bytes(head[24:27], "little")
        require_pixels(path, width * (1 + int.from_bytes(head[27:30], "little")), limits)


def _facts(path: Path, media_type: str, image: Image.Image, limits: MediaLimits) -> ImageInfo:
    # The further pictures of a multi-picture JPEG are previews of the first.
    frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if frames > limits.max_frames:
        raise MediaTooLarge(
            f"{path.name} has {frames} frames; at most {limits.max_frames} are taken: use a shorter one",
            file=path.name,
            frames=frames,
            max_frames=limits.max_frames,
        )
    require_pixels(path, image.width * image.height * frames, limits)
    return ImageInfo(
        media_type=media_type,
        width=image.width,
        height=image.height,
        frames=frames,
        bytes=path.stat().st_size,
        has_alpha="A" in image.getbands() or "transparency" in image.info,
        orientation=_orientation(image),
        is_deep=image.mode.startswith("I;16"),
    )


def _orientation(image: Image.Image) -> int:
    """From the header alone: asking a PNG for its EXIF would decode it. Broken EXIF counts as none."""
    exif = Image.Exif()
    raw = image.info.get("exif")
    try:
        if isinstance(raw, bytes):
            exif.load(raw)
        elif isinstance(image, ImageFile.ImageFile) and image.format == "TIFF":
            exif = image.getexif()
        orientation = exif.get(0x0112, 1)
    except _BROKEN:
        return 1
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _require_end(path: Path, media_type: str) -> None:
    """Decoders forgive a missing end marker, which is how a file cut by its last bytes shows."""
    if not has_its_end(path, media_type):
        raise BrokenMedia(
            f"{path.name} is cut off at its end: copy it again from where it came", file=path.name
        )
