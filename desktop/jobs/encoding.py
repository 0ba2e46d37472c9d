"""An engine's picture written in the format that the user wants, with the source's metadata."""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from PIL import ExifTags, Image

from desktop.jobs.colour import SRGB_PROFILE, is_srgb
from desktop.jobs.metadata import Metadata, exif_block, for_output, read_metadata, rebuilt_exif
from desktop.jobs.origin import Origin, with_origin
from desktop.jobs.png_chunks import png_with_metadata
from desktop.jobs.tiff_groups import with_groups
from shared.errors import FatalError
from shared.media import sniff
from shared.presets.manifest import MetadataPolicy

__all__ = ["CannotWriteFormat", "carries_origin", "write_picture"]

_LOSSLESS_TIFF = frozenset({"raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits"})
_FULL_CHROMA_FROM = 90
_GROUPS = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
_WITHOUT_XMP = frozenset({"image/gif", "image/bmp"})


class CannotWriteFormat(FatalError):
    code = "cannot_write_format"


def carries_origin(media_type: str) -> bool:
    """Whether pictures of this type hold the record of their origin themselves."""
    return media_type.startswith("image/") and media_type not in _WITHOUT_XMP


def write_picture(
    frames: Sequence[bytes],
    sink: BinaryIO,
    *,
    source: Path,
    media_type: str,
    quality: int,
    policy: MetadataPolicy,
    origin: Origin,
    made_in_srgb: bool = False,
) -> None:
    """Write the engine's picture, or the frames of an animation, as `media_type` into `sink`.

    `made_in_srgb`: the engine was given sRGB, whatever the source's profile is.

    Blocking; run it in a thread. Raises BrokenMedia, UnsupportedMedia, CannotWriteFormat.
    """
    found = read_metadata(source) if source.exists() else Metadata()
    with Image.open(io.BytesIO(frames[0])) as image:
        metadata = for_output(found, policy=policy, size=image.size, mode=image.mode)
        metadata = replace(metadata, xmp=with_origin(metadata.xmp, origin))
        if made_in_srgb and not is_srgb(found.icc):
            metadata = replace(metadata, icc=SRGB_PROFILE)
        if media_type == "image/png" and len(frames) == 1:
            sink.write(png_with_metadata(_as_png(frames[0], image), metadata))
            return
        options = _options(media_type, source, quality=quality, metadata=metadata)
        if len(frames) > 1:
            options |= {
                "save_all": True,
                "append_images": [Image.open(io.BytesIO(data)) for data in frames[1:]],
            }
            options |= _timing(source)
        try:
            if media_type == "image/tiff":
                sink.write(_tiff(image, options))
            else:
                _flattened(image, media_type).save(sink, **options)
        except (OSError, ValueError, KeyError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise CannotWriteFormat(f"the result cannot be written as {media_type}: {error}") from error


def _as_png(data: bytes, image: Image.Image) -> bytes:
    if sniff(data[:64]) == "image/png":
        return data
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _options(media_type: str, source: Path, *, quality: int, metadata: Metadata) -> dict[str, Any]:
    """Arguments of Pillow's save, by format."""
    options: dict[str, Any] = {"icc_profile": metadata.icc}
    if metadata.dpi:
        options["dpi"] = metadata.dpi
    if metadata.xmp:
        options["xmp"] = metadata.xmp
    exif = b"Exif\0\0" + metadata.exif if metadata.exif else None
    match media_type:
        case "image/jpeg":
            options |= {"format": "JPEG", "quality": quality, "exif": exif or b""}
            options["subsampling"] = 0 if quality >= _FULL_CHROMA_FROM else 2
        case "image/webp":
            options |= {"format": "WEBP", "quality": quality, "lossless": _is_lossless_webp(source)}
            options |= {"exif": exif or b"", "method": 4}
        case "image/avif":
            options |= {"format": "AVIF", "quality": quality, "exif": _without_orientation(metadata.exif)}
        case "image/tiff":
            options |= {"format": "TIFF", "exif": _tiff_tags(metadata)}
            options |= {"compression": _tiff_compression(source)}
        case "image/png":
            options |= {"format": "PNG", "compress_level": 1, "exif": exif or b""}
        case "image/gif":
            options = {"format": "GIF"}
        case "image/bmp":
            options = {"format": "BMP"} | ({"dpi": metadata.dpi} if metadata.dpi else {})
        case _:
            raise CannotWriteFormat(
                f"pictures cannot be written as {media_type}; choose jpg, png, webp, tiff, avif, gif or bmp"
            )
    return options


def _flattened(image: Image.Image, media_type: str) -> Image.Image:
    """Laid on white where the format knows no transparency."""
    if media_type not in {"image/jpeg", "image/bmp"}:
        return image
    if "A" not in image.getbands() and "transparency" not in image.info:
        return image if image.mode in {"L", "RGB"} else image.convert("RGB")
    upper = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", upper.size, "white"), upper).convert("RGB")


def _is_lossless_webp(source: Path) -> bool:
    with source.open("rb") as file:
        head = file.read(4096)
    return head[:4] == b"RIFF" and b"VP8L" in head


def _tiff(image: Image.Image, options: dict[str, Any]) -> bytes:
    tags: Image.Exif = options["exif"]
    groups = {int(pointer): tags.get_ifd(pointer) for pointer in _GROUPS if pointer in tags}
    for pointer in groups:
        del tags[pointer]
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return with_groups(buffer.getvalue(), {pointer: found for pointer, found in groups.items() if found})


def _tiff_compression(source: Path) -> str:
    """The source's, where it loses nothing."""
    with Image.open(source) as image:
        used = str(image.info.get("compression", "tiff_adobe_deflate"))
    return used if used in _LOSSLESS_TIFF else "tiff_adobe_deflate"


def _tiff_tags(metadata: Metadata) -> Image.Exif:
    tags = exif_block(metadata.exif) if metadata.exif else Image.Exif()
    if metadata.xmp:
        tags[ExifTags.Base.XMLPacket] = metadata.xmp
    return tags


def _without_orientation(block: bytes | None) -> bytes:
    """AVIF keeps orientation outside EXIF; Pillow rewrites the block, texts and all, to move it there."""
    if not block:
        return b""
    exif = rebuilt_exif(exif_block(block))
    if ExifTags.Base.Orientation in exif:
        del exif[ExifTags.Base.Orientation]
    return exif.tobytes()


def _timing(source: Path) -> dict[str, Any]:
    """The source's frame durations in milliseconds, and how often it repeats."""
    with Image.open(source) as image:
        durations = []
        for frame in range(getattr(image, "n_frames", 1)):
            image.seek(frame)
            image.load()  # WebP tells a frame's duration only then
            durations.append(int(image.info.get("duration", 100)))
        return {"duration": durations, "loop": int(image.info.get("loop", 0))}
