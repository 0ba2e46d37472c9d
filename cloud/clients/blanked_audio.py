"""FLAC, MP3, Ogg and WAV without texts: what holds them becomes padding of the same size."""

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from cloud.clients.blanks import zero

__all__ = ["blank_flac", "blank_mp3", "blank_ogg", "blank_wav"]

_FLAC_KEPT = frozenset([0, 3])  # what the stream is, and where to seek
_FLAC_PADDING = 1
_ID3_HEAD, _ID3V1, _APE = 10, 128, 32
_APE_HAS_HEAD = 1 << 31
_WAV_KEPT = frozenset([b"fmt ", b"fact", b"data"])
_OGG_HEAD = 27
_OGG_CRC = 0x04C11DB7
_OGG_TEXTS = (b"OpusTags", b"\x03vorbis")


def blank_flac(data: mmap.mmap) -> None:
    """RFC 9639."""
    at, is_last = _past_id3(data, 0) + 4, False
    while not is_last:
        is_last, kind = bool(data[at] & 0x80), data[at] & 0x7F
        end = at + 4 + int.from_bytes(data[at + 1 : at + 4], "big")
        if kind not in _FLAC_KEPT:
            data[at] = (0x80 if is_last else 0) | _FLAC_PADDING
            zero(data, at + 4, min(end, len(data)))
        at = end


def blank_mp3(data: mmap.mmap) -> None:
    """ID3 before and after the frames, and APE tags before the latter."""
    _past_id3(data, 0)
    end = len(data)
    if data[max(0, end - _ID3V1) : end][:3] == b"TAG":
        end -= _ID3V1
        zero(data, end, len(data))
    foot = data[max(0, end - _APE) : end]
    if foot[:8] == b"APETAGEX":
        size, _, flags = struct.unpack_from("<III", foot, 12)
        size += _APE if flags & _APE_HAS_HEAD else 0
        zero(data, max(0, end - size), end)


def blank_wav(data: mmap.mmap) -> None:
    at = 12
    while at + 8 <= len(data):
        kind, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        end = min(len(data), at + 8 + size)
        if kind not in _WAV_KEPT:
            data[at : at + 4] = b"JUNK"
            zero(data, at + 8, end)
        at = end + size % 2


def blank_ogg(data: mmap.mmap) -> None:
    """RFC 3533: the packets of comments become empty ones with padding (RFC 7845, 5.2)."""
    for packet in _packets(data):
        head = b"".join(data[start:end] for start, end in packet.spans)[:16]
        name = next((name for name in _OGG_TEXTS if head.startswith(name)), None)
        if name is None:
            continue
        empty = name + struct.pack("<II", 0, 0) + (b"\x01" if name == b"\x03vorbis" else b"")
        for start, end in packet.spans:
            part, empty = empty[: end - start], empty[end - start :]
            zero(data, start, end)
            data[start : start + len(part)] = part
        for start, end in packet.pages:
            data[start + 22 : start + 26] = bytes(4)
            data[start + 22 : start + 26] = struct.pack("<I", _crc(data[start:end]))


def _past_id3(data: mmap.mmap, at: int) -> int:
    """Where what is no ID3 tag begins; the tags before it are emptied."""
    while data[at : at + 3] == b"ID3":
        size = 0
        for byte in data[at + 6 : at + _ID3_HEAD]:
            size = size << 7 | byte & 0x7F
        data[at + 5] = 0  # no extended header, no footer
        zero(data, at + _ID3_HEAD, min(len(data), at + _ID3_HEAD + size))
        at += _ID3_HEAD + size
    return at


@dataclass(frozen=True, slots=True)
class _Packet:
    """Where its parts lie, and the pages that hold them."""

    spans: tuple[tuple[int, int], ...]
    pages: tuple[tuple[int, int], ...]


def _packets(data: mmap.mmap) -> Iterator[_Packet]:
    """Those of each stream before its sound: the pages at which no sample ends."""
    open_spans: dict[bytes, list[tuple[int, int]]] = {}
    open_pages: dict[bytes, list[tuple[int, int]]] = {}
    at = 0
    while data[at : at + 4] == b"OggS":
        stream, sizes = data[at + 14 : at + 18], data[at + _OGG_HEAD : at + _OGG_HEAD + data[at + 26]]
        body = at + _OGG_HEAD + len(sizes)
        page = (at, body + sum(sizes))
        if data[at + 6 : at + 14] not in {bytes(8), b"\xff" * 8}:
            return
        spans, pages = open_spans.setdefault(stream, []), open_pages.setdefault(stream, [])
        start = body
        for size in sizes:
            body += size
            if size < 255:
                yield _Packet((*spans, (start, body)), (*pages, page))
                spans.clear()
                pages.clear()
                start = body
        if start < body:
            spans.append((start, body))
            pages.append(page)
        at = page[1]


def _crc(page: bytes) -> int:
    table, crc = _crc_table(), 0
    for byte in page:
        crc = (crc << 8) & 0xFFFFFFFF ^ table[crc >> 24 ^ byte]
    return crc


@cache
def _crc_table() -> tuple[int, ...]:
    return tuple(_crc_of(index << 24) for index in range(256))


def _crc_of(rest: int) -> int:
    for _ in range(8):
        rest = (rest << 1) & 0xFFFFFFFF ^ (_OGG_CRC if rest & 0x80000000 else 0)
    return rest
