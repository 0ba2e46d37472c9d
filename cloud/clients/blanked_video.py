"""MP4 and Matroska without texts: boxes and elements that hold them become empty space of the same size.

Nothing moves, so that the tables of where samples lie stay true.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass

from cloud.clients.blanks import boxes, zero

__all__ = ["blank_matroska", "blank_mp4"]

_BOXES_OF_BOXES = frozenset([b"moov", b"trak", b"mdia", b"minf", b"moof", b"traf", b"edts", b"mvex"])
_BOXES_OF_TEXTS = frozenset([b"udta", b"meta", b"uuid", b"free", b"skip", b"wide"])
_HANDLER_NAME = 24  # where it begins in a hdlr box

_SEGMENT, _INFO, _TRACKS, _TRACK = 0x18538067, 0x1549A966, 0x1654AE6B, 0xAE
_ELEMENTS_OF_ELEMENTS = frozenset([_SEGMENT, _INFO, _TRACKS, _TRACK])
_TAGS, _ATTACHMENTS, _CHAPTERS, _TITLE, _NAME = 0x1254C367, 0x1941A469, 0x1043A770, 0x7BA9, 0x536E
_CRC, _VOID = 0xBF, 0xEC
_ELEMENTS_OF_TEXTS = frozenset([_TAGS, _ATTACHMENTS, _CHAPTERS, _TITLE, _NAME, _VOID])
_SHORTEST_LONG_VOID = 9


def blank_mp4(data: mmap.mmap) -> None:
    """ISO 14496-12: MP4, MOV and M4A."""
    _blank_boxes(data, 0, len(data))


def blank_matroska(data: mmap.mmap) -> None:
    """RFC 8794 and RFC 9559: WebM and MKV."""
    _blank_elements(data, 0, len(data))


def _blank_boxes(data: mmap.mmap, at: int, end: int) -> None:
    for kind, body, after in boxes(data, at, end):
        if kind in _BOXES_OF_BOXES:
            _blank_boxes(data, body, after)
        elif kind in _BOXES_OF_TEXTS:
            data[body - 4 : body] = b"free"
            zero(data, body, after)
        elif kind == b"hdlr":
            zero(data, min(body + _HANDLER_NAME, after), after)


@dataclass(frozen=True, slots=True)
class _Element:
    kind: int
    start: int
    body: int
    end: int


def _blank_elements(data: mmap.mmap, at: int, end: int) -> None:
    """A checksum goes too where something beside it was blanked."""
    elements = list(_elements(data, at, end))
    texts = [element for element in elements if element.kind in _ELEMENTS_OF_TEXTS]
    for element in elements:
        if element.kind in _ELEMENTS_OF_ELEMENTS:
            _blank_elements(data, element.body, element.end)
        elif element in texts or (element.kind == _CRC and texts):
            _make_void(data, element)


def _elements(data: mmap.mmap, at: int, end: int) -> Iterator[_Element]:
    """What is inside of one whose size was never written is told as if it lay beside it."""
    while at < end:
        kind, after_kind, _ = _number(data, at, keeps_marker=True)
        size, body, is_unknown = _number(data, after_kind, keeps_marker=False)
        known_end = min(end, body + size)
        is_open = is_unknown and kind not in _ELEMENTS_OF_ELEMENTS
        yield _Element(kind, at, body, body if is_open else end if is_unknown else known_end)
        at = body if is_open else end if is_unknown else known_end


def _number(data: mmap.mmap, at: int, *, keeps_marker: bool) -> tuple[int, int, bool]:
    """A number of variable length, where it ends, and whether it stands for no number."""
    first = data[at]
    length = 9 - first.bit_length()
    if length > 8:
        raise IndexError("a number is longer than numbers are")
    number = int.from_bytes(data[at : at + length], "big")
    payload = number & ((1 << 7 * length) - 1)
    return (number if keeps_marker else payload), at + length, payload == (1 << 7 * length) - 1


def _make_void(data: mmap.mmap, element: _Element) -> None:
    length = element.end - element.start
    if length >= _SHORTEST_LONG_VOID:
        head = bytes([_VOID, 0x01]) + (length - _SHORTEST_LONG_VOID).to_bytes(7, "big")
    else:
        head = bytes([_VOID, 0x80 | (length - 2)])
    data[element.start : element.start + len(head)] = head
    zero(data, element.start + len(head), element.end)
