"""A camera's RAW file: a small DNG of one colour, made by hand."""

import struct
from pathlib import Path

__all__ = ["write_dng"]

_BYTE, _ASCII, _SHORT, _LONG, _RATIONAL, _SRATIONAL = 1, 2, 3, 4, 5, 10
# From XYZ to the camera's colours, in ten-thousandths: this camera sees as sRGB does.
_MATRIX = (32406, -15372, -4986, -9689, 18758, 415, 557, -2040, 10570)


def write_dng(path: Path, width: int, height: int, colour: tuple[int, int, int]) -> Path:
    """Sixteen bits a sensor pixel, in rows of R G and G B."""
    red, green, blue = (level * 257 for level in colour)
    rows = struct.pack("<2H", red, green) * (width // 2) + struct.pack("<2H", green, blue) * (width // 2)
    pixels = rows * (height // 2)
    path.write_bytes(_tiff(_entries(width, height), pixels))
    return path


def _entries(width: int, height: int) -> list[tuple[int, int, int, bytes]]:
    """Tag, type, count and value; the place of the pixels is filled in later."""
    return [
        (254, _LONG, 1, struct.pack("<I", 0)),
        (256, _LONG, 1, struct.pack("<I", width)),
        (257, _LONG, 1, struct.pack("<I", height)),
        (258, _SHORT, 1, struct.pack("<H", 16)),
        (259, _SHORT, 1, struct.pack("<H", 1)),
        (262, _SHORT, 1, struct.pack("<H", 32803)),  # a colour filter array
        (271, _ASCII, 5, b"Test\0"),
        (272, _ASCII, 5, b"Cam1\0"),
        (273, _LONG, 1, b""),
        (277, _SHORT, 1, struct.pack("<H", 1)),
        (278, _LONG, 1, struct.pack("<I", height)),
        (279, _LONG, 1, struct.pack("<I", width * height * 2)),
        (33421, _SHORT, 2, struct.pack("<2H", 2, 2)),
        (33422, _BYTE, 4, bytes([0, 1, 1, 2])),
        (50706, _BYTE, 4, bytes([1, 4, 0, 0])),
        (50708, _ASCII, 10, b"Test Cam1\0"),
        (50717, _LONG, 1, struct.pack("<I", 65535)),
        (50721, _SRATIONAL, 9, b"".join(struct.pack("<2i", part, 10_000) for part in _MATRIX)),
        (50728, _RATIONAL, 3, struct.pack("<6I", 1, 1, 1, 1, 1, 1)),
        (50778, _SHORT, 1, struct.pack("<H", 21)),  # daylight
    ]


def _tiff(entries: list[tuple[int, int, int, bytes]], pixels: bytes) -> bytes:
    at = 8 + 2 + 12 * len(entries) + 4
    pixels_at = at + sum(len(value) for *_, value in entries if len(value) > 4)
    table, values = struct.pack("<H", len(entries)), b""
    for tag, kind, count, value in entries:
        table += struct.pack("<HHI", tag, kind, count)
        if tag == 273:
            table += struct.pack("<I", pixels_at)
        elif len(value) <= 4:
            table += value.ljust(4, b"\0")
        else:
            table += struct.pack("<I", at + len(values))
            values += value
    return b"II*\0" + struct.pack("<I", 8) + table + struct.pack("<I", 0) + values + pixels
