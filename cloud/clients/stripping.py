"""Files without what was written beside their pixels or sound: EXIF, GPS, XMP, comments, prompt texts.

What is known to belong to the picture is kept, and everything else is left out, so that metadata
of a kind that nobody has met goes too. Pixels are copied, not compressed anew, where the format is
one of PNG, JPEG, WebP and GIF; what a user sent in another format becomes a PNG. Of what a server
saved in other formats, moving pictures and sound among them, the texts are blanked where they lie.
"""

import io
import mmap
import re
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageOps

from cloud.clients.blanked_audio import blank_flac, blank_mp3, blank_ogg, blank_wav
from cloud.clients.blanked_glb import blank_glb
from cloud.clients.blanked_heif import blank_heif
from cloud.clients.blanked_pictures import blank_bmp, blank_tiff
from cloud.clients.blanked_video import blank_matroska, blank_mp4
from shared.errors import UsageError
from shared.media import MediaLimits, open_image, probe_image

__all__ = ["CLEANED_TYPES", "CannotStrip", "copy_without_texts", "strip_picture"]

_ORIENTATION = 0x0112
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = frozenset(
    b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP sBIT bKGD pHYs hIST cICP mDCV cLLI acTL fcTL fdAT".split()
)
_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # those that end a scan or have a length
_WEBP_KEPT = frozenset([b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"])
_WEBP_EXIF, _WEBP_XMP = 0x08, 0x04  # flags of VP8X
_GIF_APPLICATIONS = frozenset([b"NETSCAPE2.0", b"ANIMEXTS1.0"])
_PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"})


class CannotStrip(UsageError):
    code = "cannot_strip"


def strip_picture(source: Path, target: BinaryIO, limits: MediaLimits) -> None:
    """Write a copy that shows the same picture, upright as before."""
    info = probe_image(source, limits)
    if info.media_type in _COPIES:
        _copy(source, target, info.media_type, info.orientation)
    else:
        _write_as_png(source, target, limits)


def copy_without_texts(source: Path, target: BinaryIO, media_type: str) -> None:
    """For what a server saved, which has no orientation; `media_type` is one of CLEANED_TYPES.

    `target` has a path, and is empty. Raises CannotStrip.
    """
    if media_type in _COPIES:
        _copy(source, target, media_type, orientation=1)
    else:
        _blanked_copy(source, target, _BLANKERS[media_type])


def _blanked_copy(source: Path, target: BinaryIO, blank: Callable[[mmap.mmap], None]) -> None:
    with source.open("rb") as file:
        shutil.copyfileobj(file, target)
    target.flush()
    with Path(target.name).open("r+b") as copy, mmap.mmap(copy.fileno(), 0) as data:
        try:
            blank(data)
        except (IndexError, AttributeError, ValueError, struct.error, RecursionError) as error:
            raise CannotStrip("the file's structure cannot be followed; save it anew") from error


def _copy(source: Path, target: BinaryIO, media_type: str, orientation: int) -> None:
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            target.writelines(_COPIES[media_type](data, orientation))
        except (IndexError, struct.error) as error:
            raise CannotStrip("the picture's structure cannot be followed; save it anew") from error
    target.flush()


def _write_as_png(source: Path, target: BinaryIO, limits: MediaLimits) -> None:
    with open_image(source, limits) as image:
        upright = ImageOps.exif_transpose(image)
        profile = image.info.get("icc_profile") if image.mode in _PNG_MODES else None
        plain = upright if upright.mode in _PNG_MODES else upright.convert("RGB")
        file = io.BytesIO()
        plain.save(file, "PNG", icc_profile=profile)
    target.writelines(_png(file.getbuffer(), orientation=1))
    target.flush()


def _png(data: mmap.mmap | memoryview, orientation: int) -> Iterator[bytes]:
    yield _PNG_MAGIC
    at = len(_PNG_MAGIC)
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        kind = bytes(data[at + 4 : at + 8])
        if kind == b"IDAT" and orientation > 1:
            yield _png_chunk(b"eXIf", _exif(orientation))
            orientation = 1
        if kind in _PNG_KEPT:
            yield bytes(data[at:end])
        at = end
        if kind == b"IEND":
            return


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _jpeg(data: mmap.mmap, orientation: int) -> Iterator[bytes]:
    """Segments up to the first end of a picture: what follows are further pictures of a camera."""
    yield b"\xff\xd8"
    told = orientation <= 1
    at = 2
    while marker := _JPEG_MARKER.search(data, at):
        yield data[at : marker.start()]  # of a scan
        kind = marker[0][1]
        if kind == 0xD9:
            yield b"\xff\xd9"
            return
        end = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
        if not told and kind != 0xE0:
            yield _jpeg_segment(0xE1, b"Exif\0\0" + _exif(orientation))
            told = True
        yield _kept_segment(kind, data[marker.end() + 2 : end])
        at = end


def _kept_segment(kind: int, body: bytes) -> bytes:
    """Empty for one that is left out."""
    is_application = 0xE0 <= kind <= 0xEF
    if kind == 0xE0 and body.startswith(b"JFIF\0"):
        return _jpeg_segment(kind, body[:12] + b"\0\0")  # without a thumbnail
    is_colour = (kind == 0xE2 and body.startswith(b"ICC_PROFILE\0")) or (
        kind == 0xEE and body.startswith(b"Adobe")
    )
    is_comment = kind == 0xFE
    return b"" if is_comment or (is_application and not is_colour) else _jpeg_segment(kind, body)


def _jpeg_segment(kind: int, body: bytes) -> bytes:
    return bytes([0xFF, kind]) + struct.pack(">H", len(body) + 2) + body


def _webp(data: mmap.mmap, orientation: int) -> Iterator[bytes]:
    chunks = b"".join(
        _webp_chunks(data, 12, min(len(data), 8 + int.from_bytes(data[4:8], "little")), orientation)
    )
    if orientation > 1:
        chunks += _webp_chunk(b"EXIF", _exif(orientation))
    yield b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks


def _webp_chunks(data: mmap.mmap | bytes, at: int, end: int, orientation: int) -> Iterator[bytes]:
    while at + 8 <= end:
        kind, size = bytes(data[at : at + 4]), int.from_bytes(data[at + 4 : at + 8], "little")
        body = bytes(data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
        if kind == b"VP8X":
            kept = body[0] & ~(_WEBP_EXIF | _WEBP_XMP) | (_WEBP_EXIF if orientation > 1 else 0)
            body = bytes([kept]) + body[1:]
        if kind == b"ANMF":  # a frame, with chunks of its own
            body = body[:16] + b"".join(_webp_chunks(body, 16, len(body), orientation))
        if kind in _WEBP_KEPT:
            yield _webp_chunk(kind, body)


def _webp_chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _gif(data: mmap.mmap, _orientation: int) -> Iterator[bytes]:
    at = 13 + _colours(data[10])
    yield data[:at]
    while at < len(data):
        kind, start = data[at], at
        if kind == 0x21:
            at = _past_blocks(data, at + 2)
            label, name = data[start + 1], data[start + 3 : start + 14]
            if label == 0xF9 or (label == 0xFF and name in _GIF_APPLICATIONS):
                yield data[start:at]
        elif kind == 0x2C:
            at = _past_blocks(data, at + 11 + _colours(data[at + 9]))
            yield data[start:at]
        else:
            break
    yield b";"


def _colours(flags: int) -> int:
    """How many bytes the table of colours has."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _past_blocks(data: mmap.mmap, at: int) -> int:
    while size := data[at]:
        at += 1 + size
    return at + 1


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    return exif.tobytes().removeprefix(b"Exif\0\0")


_COPIES: Mapping[str, Callable[[mmap.mmap, int], Iterator[bytes]]] = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/webp": _webp,
    "image/gif": _gif,
}
_BLANKERS: Mapping[str, Callable[[mmap.mmap], None]] = {
    "audio/flac": blank_flac,
    "audio/mp4": blank_mp4,
    "audio/mpeg": blank_mp3,
    "audio/ogg": blank_ogg,
    "audio/wav": blank_wav,
    "image/avif": blank_heif,
    "image/bmp": blank_bmp,
    "image/heic": blank_heif,
    "image/tiff": blank_tiff,
    "model/gltf-binary": blank_glb,
    "video/mp4": blank_mp4,
    "video/webm": blank_matroska,
}
CLEANED_TYPES = frozenset(_COPIES) | frozenset(_BLANKERS)
