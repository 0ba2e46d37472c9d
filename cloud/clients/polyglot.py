"""Files that are a picture and something else besides.

A picture must end where its format says. Cameras may append further pictures to a JPEG
(CIPA DC-007) and zeros to anything; whatever else follows is refused, not rewritten.
"""

import mmap
import re
from collections.abc import Callable, Mapping

from shared.errors import UsageError

__all__ = ["NotOnlyAPicture", "check_only_a_picture"]

_ARCHIVE_END = b"PK\x05\x06"
_ARCHIVE_END_BYTES = 22
_LONGEST_ARCHIVE_COMMENT = 65_535
_PDF_WITHIN = 1024  # where readers look for its mark
_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # those that end a scan or have a length


class NotOnlyAPicture(UsageError):
    code = "polyglot"


def check_only_a_picture(data: mmap.mmap, media_type: str) -> None:
    """`data` decoded as `media_type`. Raises NotOnlyAPicture."""
    if _is_archive(data) or data.find(b"%PDF-", 0, _PDF_WITHIN) >= 0:
        raise NotOnlyAPicture("the file is a picture and another document at once; save it anew as a picture")
    end = _end(data, media_type)
    if end is not None and not _is_padding(data, end):
        raise NotOnlyAPicture(
            f"{len(data) - end} bytes of other data follow the picture; save it anew without them"
        )


def _end(data: mmap.mmap, media_type: str) -> int | None:
    """Where the picture ends; None where its format does not say."""
    finder = _ENDS.get(media_type)
    return None if finder is None else finder(data)


def _end_of_png(data: mmap.mmap) -> int:
    at = 8
    while at + 12 <= len(data):
        kind = data[at + 4 : at + 8]
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        if kind == b"IEND":
            break
    return at


def _end_of_jpegs(data: mmap.mmap) -> int:
    """Past the last picture of those that follow each other."""
    at = _end_of_jpeg(data, 0)
    while data[at : at + 3] == b"\xff\xd8\xff":
        at = _end_of_jpeg(data, at)
    return at


def _end_of_jpeg(data: mmap.mmap, at: int) -> int:
    """Past the end marker. Within a scan FF is stuffed with 00, so that markers can be told."""
    at += 2
    while marker := _JPEG_MARKER.search(data, at):
        at = marker.end()
        if marker[0] == b"\xff\xd9":
            return at
        at += int.from_bytes(data[at : at + 2], "big")
    return len(data)


def _end_of_boxes(data: mmap.mmap) -> int:
    """ISO/IEC 14496-12: boxes after one another; size 1 means a long size, 0 the rest of the file."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size == 0:
            return len(data)
        if size < 8 or at + size > len(data) or not all(32 <= letter < 127 for letter in kind):
            break
        at += size
    return at


def _is_padding(data: mmap.mmap, end: int) -> bool:
    chunk = 1 << 16
    return all(not data[at : at + chunk].strip(b"\0") for at in range(end, len(data), chunk))


def _is_archive(data: mmap.mmap) -> bool:
    """A zip is found from its end: a record whose comment reaches exactly to the end of the file."""
    at = len(data)
    start = max(0, len(data) - _ARCHIVE_END_BYTES - _LONGEST_ARCHIVE_COMMENT)
    while (at := data.rfind(_ARCHIVE_END, start, at)) >= 0:
        comment = int.from_bytes(data[at + 20 : at + 22], "little")
        if at + _ARCHIVE_END_BYTES + comment == len(data):
            return True
    return False


def _end_of_gif(data: mmap.mmap) -> int:
    return data.rfind(b";") + 1


def _end_of_webp(data: mmap.mmap) -> int:
    size = int.from_bytes(data[4:8], "little")
    return 8 + size + size % 2


def _end_of_bmp(data: mmap.mmap) -> int | None:
    return int.from_bytes(data[2:6], "little") or None


_ENDS: Mapping[str, Callable[[mmap.mmap], int | None]] = {
    "image/png": _end_of_png,
    "image/jpeg": _end_of_jpegs,
    "image/gif": _end_of_gif,
    "image/webp": _end_of_webp,
    "image/bmp": _end_of_bmp,
    "image/avif": _end_of_boxes,
    "image/heic": _end_of_boxes,
}
