"""Bytes of a file that are made nothing where they lie, and the boxes of MP4 and its kin."""

import mmap
from collections.abc import Iterator

__all__ = ["boxes", "zero"]

_AT_ONCE = 1 << 20


def zero(data: mmap.mmap, start: int, end: int) -> None:
    for at in range(start, end, _AT_ONCE):
        part = min(_AT_ONCE, end - at)
        data[at : at + part] = bytes(part)


def boxes(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """ISO 14496-12, 4.2: the kind of each, and where its body begins and ends. Raises IndexError."""
    while at + 8 <= end:
        size, kind, body = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], at + 8
        if size == 1:
            size, body = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        after = end if size == 0 else min(end, at + size)
        if after < body:
            raise IndexError("a box ends before it begins")
        yield kind, body, after
        at = after
