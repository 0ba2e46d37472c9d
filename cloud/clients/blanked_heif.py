"""AVIF and HEIC without texts: the items that hold them are no longer of a kind that anybody reads."""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass

from cloud.clients.blanks import boxes, zero

__all__ = ["blank_heif"]

_TEXTS = frozenset([b"Exif", b"mime", b"uri "])
_FULL = 4  # version and flags
_NOBODYS = b"free"


def blank_heif(data: mmap.mmap) -> None:
    """ISO 23008-12 over ISO 14496-12, 8.11."""
    for kind, start, end in boxes(data, 0, len(data)):
        if kind == b"meta":
            _blank_items(data, start + _FULL, end)
        elif kind in {b"uuid", b"udta", b"free", b"skip"}:
            zero(data, start, end)


def _blank_items(data: mmap.mmap, start: int, end: int) -> None:
    places = {kind: (body, after) for kind, body, after in boxes(data, start, end)}
    texts = set(_text_items(data, *places.get(b"iinf", (0, 0))))
    near = places.get(b"idat", (0, 0))[0]
    for item, at, length in _extents(data, *places.get(b"iloc", (0, 0)), near=near):
        if item in texts:
            zero(data, min(at, len(data)), min(at + length, len(data)))


def _text_items(data: mmap.mmap, start: int, end: int) -> Iterator[int]:
    """Their ids. Their kind is changed."""
    if start == end:
        return
    for kind, at, _ in boxes(data, start + _FULL + (2 if data[start] == 0 else 4), end):
        if kind != b"infe" or data[at] not in {2, 3}:
            continue
        item = at + _FULL
        after = item + (2 if data[at] == 2 else 4)
        place = after + 2
        if data[place : place + 4] in _TEXTS:
            data[place : place + 4] = _NOBODYS
            yield int.from_bytes(data[item:after], "big")


@dataclass(slots=True)
class _Reader:
    data: mmap.mmap
    at: int

    def number(self, size: int) -> int:
        self.at += size
        return int.from_bytes(self.data[self.at - size : self.at], "big")


def _extents(data: mmap.mmap, start: int, end: int, *, near: int) -> Iterator[tuple[int, int, int]]:
    """Of each item, where its bytes lie, in the file or in the box that begins at `near`."""
    if start == end:
        return
    version, reader = data[start], _Reader(data, start + _FULL)
    sizes = reader.number(2)
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version else 0
    for _ in range(reader.number(4 if version == 2 else 2)):
        item = reader.number(4 if version == 2 else 2)
        is_near = version > 0 and reader.number(2) & 15 == 1
        reader.number(2)  # the file: this one
        base = reader.number(base_size) + (near if is_near else 0)
        for _ in range(reader.number(2)):
            reader.number(index_size)
            offset = reader.number(offset_size)
            yield item, base + offset, reader.number(length_size)
