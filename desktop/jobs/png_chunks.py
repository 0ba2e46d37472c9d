"""Metadata set into a PNG between its chunks, so that its pixels need not be written anew."""

import struct
import zlib
from collections.abc import Iterator

from desktop.jobs.metadata import Metadata

__all__ = ["png_with_metadata"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_REPLACED = frozenset({b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"eXIf", b"pHYs"})
_XMP_KEYWORD = b"XML:com.adobe.xmp"


def png_with_metadata(png: bytes, metadata: Metadata) -> bytes:
    """The PNG with this metadata instead of its own colour, EXIF, size and XMP chunks."""
    parts = [_SIGNATURE]
    for kind, chunk in _chunks(png):
        if kind in _REPLACED or (kind == b"iTXt" and chunk[8:].startswith(_XMP_KEYWORD + b"\0")):
            continue
        parts.append(chunk)
        if kind == b"IHDR":
            parts += _metadata_chunks(metadata)
    return b"".join(parts)


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at + 12 <= len(png):
        end = at + 12 + int.from_bytes(png[at : at + 4], "big")
        yield png[at + 4 : at + 8], png[at:end]
        at = end


def _metadata_chunks(metadata: Metadata) -> Iterator[bytes]:
    if metadata.icc:
        yield _chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(metadata.icc))
    if metadata.dpi:
        per_metre = [round(dots / 0.0254) for dots in metadata.dpi]
        yield _chunk(b"pHYs", struct.pack(">IIB", *per_metre, 1))
    if metadata.exif:
        yield _chunk(b"eXIf", metadata.exif)
    if metadata.xmp:
        yield _chunk(b"iTXt", _XMP_KEYWORD + b"\0\0\0\0\0" + metadata.xmp)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
