"""TIFF and BMP without texts, their pixels where they were."""

import mmap
import struct
from dataclasses import dataclass

from cloud.clients.blanks import zero

__all__ = ["blank_bmp", "blank_tiff"]

# What says how the pixels are to be read: geometry, samples, colour, compression, strips and tiles.
_TIFF_KEPT = frozenset(
    [
        *(254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 280, 281, 282, 283, 284, 290, 291),
        *(292, 293, 296, 297, 301, 317, 318, 319, 320, 321, 322, 323, 324, 325, 332, 334, 336, 338, 339, 340),
        *(341, 342, 347, 512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532, 32997, 34675),
    ]
)
_SIZES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}  # else one byte
_BMP_HEAD = 14
_BMP_PLAIN = frozenset([0, 3])  # compressions that are none
_BMP_WITH_PROFILE = 124  # the size of the only header that may name one


@dataclass(frozen=True, slots=True)
class _Layout:
    """The sizes of a directory's parts: of its count, of an entry, and of a place in the file."""

    order: str
    count: str
    place: str
    entry: int
    inline: int

    def read(self, data: mmap.mmap, at: int, form: str) -> int:
        return int(struct.unpack_from(self.order + form, data, at)[0])


def blank_tiff(data: mmap.mmap) -> None:
    """TIFF 6.0 and BigTIFF: entries of other tags leave their directories, and what they name is zeroed."""
    order = "<" if data[:2] == b"II" else ">"
    is_big = struct.unpack_from(order + "H", data, 2)[0] == 43
    layout = _Layout(order, "Q", "Q", 20, 8) if is_big else _Layout(order, "H", "I", 12, 4)
    place, seen = layout.read(data, 8 if is_big else 4, layout.place), set[int]()
    while place and place not in seen:
        seen.add(place)
        place = _blank_directory(data, place, layout)


def _blank_directory(data: mmap.mmap, place: int, layout: _Layout) -> int:
    """Where the next one is."""
    count = layout.read(data, place, layout.count)
    first = place + struct.calcsize(layout.order + layout.count)
    end = first + count * layout.entry
    following = data[end : end + layout.inline]
    if end + layout.inline > len(data):
        raise IndexError("a directory ends after the file")
    kept = []
    for at in range(first, end, layout.entry):
        if layout.read(data, at, "H") in _TIFF_KEPT:
            kept.append(data[at : at + layout.entry])
        else:
            _blank_value(data, at, layout)
    zero(data, first, end + layout.inline)
    struct.pack_into(layout.order + layout.count, data, place, len(kept))
    entries = b"".join(kept) + following
    data[first : first + len(entries)] = entries
    return int(struct.unpack(layout.order + layout.place, following)[0])


def _blank_value(data: mmap.mmap, at: int, layout: _Layout) -> None:
    number = layout.read(data, at + 4, layout.place)
    size = _SIZES.get(layout.read(data, at + 2, "H"), 1) * number
    if size > layout.inline:
        start = layout.read(data, at + layout.entry - layout.inline, layout.place)
        zero(data, min(start, len(data)), min(start + size, len(data)))


def blank_bmp(data: mmap.mmap) -> None:
    """What lies behind the pixels."""
    pixels, head = struct.unpack_from("<II", data, 10)
    if head < 40 or head == _BMP_WITH_PROFILE:
        return
    width, height, _, bits, compression, size = struct.unpack_from("<iiHHII", data, _BMP_HEAD + 4)
    if compression in _BMP_PLAIN:
        size = (abs(width) * bits + 31) // 32 * 4 * abs(height)
    zero(data, min(pixels + size, len(data)), len(data))
