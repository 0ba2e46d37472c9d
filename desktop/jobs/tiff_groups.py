"""EXIF groups put into a TIFF once its pixels are written: libtiff refuses them beside compression."""

import struct
from collections.abc import Mapping
from typing import Any

from PIL.TiffImagePlugin import ImageFileDirectory_v2

__all__ = ["with_groups"]

_ENTRY_BYTES = 12
_LONG = 4


def with_groups(tiff: bytes, groups: Mapping[int, Mapping[int, Any]]) -> bytes:
    """The classic TIFF with each group of tags behind the pointer tag that names it.

    The groups are appended, and a first directory that points to them takes the place of the old one.
    """
    order = "<" if tiff.startswith(b"II") else ">"
    (at,) = struct.unpack_from(f"{order}I", tiff, 4)
    (count,) = struct.unpack_from(f"{order}H", tiff, at)
    table = tiff[at + 2 : at + 2 + _ENTRY_BYTES * count]
    further = tiff[at + 2 + len(table) : at + 6 + len(table)]  # where the next page's directory is
    entries = [table[place : place + _ENTRY_BYTES] for place in range(0, len(table), _ENTRY_BYTES)]
    made = bytearray(tiff)
    for pointer, tags in groups.items():
        place = _padded(made)
        directory = ImageFileDirectory_v2(prefix=tiff[:2], group=pointer)
        directory.update(tags)
        made += directory.tobytes(place)
        entries.append(struct.pack(f"{order}HHII", pointer, _LONG, 1, place))
    entries.sort(key=lambda entry: struct.unpack_from(f"{order}H", entry)[0])
    struct.pack_into(f"{order}I", made, 4, _padded(made))
    made += struct.pack(f"{order}H", len(entries)) + b"".join(entries) + further
    return bytes(made)


def _padded(made: bytearray) -> int:
    """Directories begin at even places; the place where the next one goes."""
    made += b"\0" * (len(made) % 2)
    return len(made)
