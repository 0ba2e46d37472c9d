"""Whether the last bytes of a picture are there, told without decoding it."""

from pathlib import Path
from typing import BinaryIO

__all__ = ["has_its_end"]

_SEARCHED_BYTES = 1 << 20
_TAIL_BYTES = 4096
_GIF_TAIL_BYTES = 64


def has_its_end(path: Path, media_type: str) -> bool:
    """True for types that have no marker at their end.

    Read, never mapped: a mapped file that is truncated meanwhile ends the process.
    """
    with path.open("rb") as file:
        match media_type:
            case "image/png":
                return _ends(file, b"IEND\xaeB`\x82", start=0)
            case "image/gif":
                file.seek(-min(_GIF_TAIL_BYTES, path.stat().st_size), 2)
                return file.read().rstrip(b"\0").endswith(b";")
            case "image/jpeg":
                return _ends(file, b"\xff\xd9", start=_start_of_scan(file))
            case _:
                return True


def _ends(file: BinaryIO, marker: bytes, *, start: int) -> bool:
    """Nearly always within the last bytes; but what some programs append is long."""
    tail = max(start, file.seek(0, 2) - _TAIL_BYTES)
    return _holds(file, marker, start=tail) or _holds(file, marker, start=start)


def _holds(file: BinaryIO, marker: bytes, *, start: int) -> bool:
    file.seek(start)
    before = b""
    while chunk := file.read(_SEARCHED_BYTES):
        if marker in before + chunk:
            return True
        before = chunk[-len(marker) + 1 :]
    return False


def _start_of_scan(file: BinaryIO) -> int:
    """Past the segments that may hold a thumbnail with an end marker of its own."""
    at = 2
    while True:
        file.seek(at)
        head = file.read(4)
        if len(head) < 4 or head[0] != 0xFF or head[1] == 0xDA:
            return at
        at += 1 if head[1] == 0xFF else 2 + int.from_bytes(head[2:], "big")
