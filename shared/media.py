"""Files looked at with suspicion: type by magic bytes, limits first, then a full decode."""

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

from shared.errors import UsageError
from shared.media_ends import has_its_end

__all__ = [
    "DEFAULT_INPUT_LIMITS",
    "DEFAULT_OUTPUT_LIMITS",
    "READABLE_SUFFIXES",
    "BrokenMedia",
    "ImageInfo",
    "MediaLimits",
    "MediaTooLarge",
    "UnsupportedMedia",
    "check_image",
    "extension_for",
    "media_type_for",
    "open_image",
    "probe_image",
    "sniff",
    "verify_file",
    "verify_image",
]

# Our own limits come before any decoding and are errors; Pillow's guard is a warning first.
Image.MAX_IMAGE_PIXELS = None
warnings.filterwarnings("ignore", module=r"PIL\.")


class UnsupportedMedia(UsageError):
    code = "unsupported_media"


class MediaTooLarge(UsageError):
    code = "media_too_large"


class BrokenMedia(UsageError):
    code = "broken_media"


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaLimits:
    """`max_pixels` counts all frames together."""

    max_bytes: int
    max_pixels: int
    max_frames: int


DEFAULT_INPUT_LIMITS = MediaLimits(max_bytes=512 << 20, max_pixels=64 << 20, max_frames=512)
DEFAULT_OUTPUT_LIMITS = MediaLimits(max_bytes=2 << 30, max_pixels=512 << 20, max_frames=4096)


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


_FORMATS = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/tiff": "TIFF",
    "image/bmp": "BMP",
    "image/avif": "AVIF",
    "image/heic": "HEIF",
}
_RAW_TYPE = "image/x-raw"
_RAW_SUFFIXES = frozenset({".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw"})
_SUFFIXES = {
    "image/jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "image/png": (".png", ".apng"),
    "image/webp": (".webp",),
    "image/gif": (".gif",),
    "image/tiff": (".tif", ".tiff"),
    "image/bmp": (".bmp",),
    "image/avif": (".avif",),
    "image/heic": (".heic", ".heif"),
    _RAW_TYPE: (".dng", *sorted(_RAW_SUFFIXES - {".dng"})),
    "video/mp4": (".mp4", ".m4v", ".mov"),
    "video/webm": (".webm", ".mkv"),
    "audio/flac": (".flac",),
    "audio/mpeg": (".mp3",),
    "audio/ogg": (".ogg", ".opus"),
    "audio/wav": (".wav",),
    "audio/mp4": (".m4a",),
    "model/gltf-binary": (".glb",),
    "text/html": (".html", ".htm"),
    "text/plain": (".txt",),
    "application/json": (".json",),
}
READABLE_SUFFIXES = frozenset(
    suffix for media_type in _FORMATS for suffix in _SUFFIXES[media_type]
) | _RAW_SUFFIXES  # fmt: skip

_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"CR\x02\x00", _RAW_TYPE),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
    (0, b"II+\x00", "image/tiff"),
    (0, b"MM\x00+", "image/tiff"),
    (0, b"FUJIFILMCCD-RAW", _RAW_TYPE),
    (0, b"IIRO", _RAW_TYPE),
    (0, b"IIRS", _RAW_TYPE),
    (0, b"IIU\x00", _RAW_TYPE),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"glTF", "model/gltf-binary"),
)
_BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"heim": "image/heic",
    b"heis": "image/heic",
    b"hevc": "image/heic",
    b"crx ": _RAW_TYPE,
    b"M4A ": "audio/mp4",
}
_HEAD_BYTES = 64
_BROKEN = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, AttributeError,
    OverflowError, RuntimeError, ZeroDivisionError, struct.error, zlib.error,
)  # fmt: skip


def sniff(head: bytes) -> str | None:
    """The media type by magic bytes, from the first 64 bytes or more; None when none is known.

    Camera RAW files of TIFF structure say image/tiff.
    """
    if head[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _sniff_brands(head)
    for offset, magic, media_type in _MAGIC:
        if head.startswith(magic, offset):
            return media_type
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0":
        return "image/bmp"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return "text/html" if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")) else None


def _sniff_brands(head: bytes) -> str:
    size = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, size, 4))]
    return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), "video/mp4")


def extension_for(media_type: str) -> str:
    """The usual suffix with its dot; ".bin" for a type that is not known."""
    return _SUFFIXES.get(media_type, (".bin",))[0]


def media_type_for(suffix: str) -> str | None:
    """What a file with this suffix claims to be; None when the suffix says nothing."""
    return next((kind for kind, suffixes in _SUFFIXES.items() if suffix.lower() in suffixes), None)


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
            _require_pixels(path, pixels, limits)
            image.load()
    _require_end(path, info.media_type)
    return info


def verify_file(path: Path, expected_suffix: str, limits: MediaLimits = DEFAULT_OUTPUT_LIMITS) -> str:
    """Check a file that is no picture and return its media type.

    It must be within the size limit, not empty, not a web page, and have the magic bytes of its
    suffix where that suffix has any. Raises MediaTooLarge, BrokenMedia.
    """
    with path.open("rb") as file:
        found = sniff(_checked_head(path, file, limits))
    expected = media_type_for(expected_suffix)
    if found == "text/html" and expected != "text/html":
        raise BrokenMedia(f"{path.name} is a web page, not a {expected_suffix} file", file=path.name)
    if expected is None or expected in {"text/plain", "application/json", "text/html"}:
        return expected or found or "application/octet-stream"
    same_container = {found, expected} <= {"video/mp4", "audio/mp4"}
    if found != expected and not same_container:
        raise BrokenMedia(f"{path.name} does not hold what its name says ({expected_suffix})", file=path.name)
    return expected


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
        head = _checked_head(path, file, limits)
        media_type = _image_type(path, head)
        _refuse_large_webp(path, head, limits)
        try:
            image = _open_raw(path, limits, side) if media_type == _RAW_TYPE else _open(media_type, file)
            with image:
                _require_pixels(path, image.width * image.height, limits)
                yield media_type, image
        except MemoryError as error:
            raise MediaTooLarge(
                f"{path.name} does not fit into memory: use a smaller copy", file=path.name
            ) from error
        except _BROKEN as error:
            raise BrokenMedia(
                f"{path.name} is damaged or incomplete: copy it again from where it came", file=path.name
            ) from error


def _checked_head(path: Path, file: BinaryIO, limits: MediaLimits) -> bytes:
    size = file.seek(0, 2)
    file.seek(0)
    if size == 0:
        raise BrokenMedia(f"{path.name} is empty: copy it again from where it came", file=path.name)
    if size > limits.max_bytes:
        raise MediaTooLarge(
            f"{path.name} has {size / 1e6:.0f} MB; at most {limits.max_bytes / 1e6:.0f} MB are taken: "
            "use a smaller copy",
            file=path.name,
            bytes=size,
            max_bytes=limits.max_bytes,
        )
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    return head


def _image_type(path: Path, head: bytes) -> str:
    media_type = sniff(head)
    if media_type == "image/tiff" and path.suffix.lower() in _RAW_SUFFIXES:
        media_type = _RAW_TYPE
    if media_type == "text/html":
        raise UnsupportedMedia(
            f"{path.name} is a web page, not a picture: download the picture itself", file=path.name
        )
    if media_type == _RAW_TYPE:
        _require_library(path, "rawpy", "camera RAW", "raw")
    elif media_type == "image/heic":
        _require_library(path, "pillow_heif", "HEIC", "heic")
    elif media_type is None or media_type not in _FORMATS:
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
    return Image.open(file, formats=[_FORMATS[media_type]])


def _open_raw(path: Path, limits: MediaLimits, side: int | None) -> Image.Image:
    with importlib.import_module("rawpy").imread(str(path)) as raw:
        sizes = raw.sizes
        _require_pixels(path, sizes.width * sizes.height, limits)
        half = side is not None and max(sizes.width, sizes.height) >= 2 * side
        image = Image.fromarray(raw.postprocess(use_camera_wb=True, half_size=half))
    if half:
        image.info["full_size"] = (image.width * 2, image.height * 2)
    return image


def _refuse_large_webp(path: Path, head: bytes, limits: MediaLimits) -> None:
    """libwebp sets the whole canvas aside on opening: read its size first (RFC 9649)."""
    if head[8:16] == b"WEBPVP8X" and len(head) >= 30:
        width = 1 + int.from_bytes(head[24:27], "little")
        _require_pixels(path, width * (1 + int.from_bytes(head[27:30], "little")), limits)


def _require_pixels(path: Path, pixels: int, limits: MediaLimits) -> None:
    if pixels > limits.max_pixels:
        raise MediaTooLarge(
            f"{path.name} has {pixels / 1e6:.0f} megapixels; "
            f"at most {limits.max_pixels / 1e6:.0f} are taken: use a smaller copy",
            file=path.name,
            pixels=pixels,
            max_pixels=limits.max_pixels,
        )


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
    _require_pixels(path, image.width * image.height * frames, limits)
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
