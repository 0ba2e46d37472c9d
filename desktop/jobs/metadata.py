"""What a photograph says about itself, carried from the source to its outputs."""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from shared.media import open_image
from shared.presets.manifest import MetadataPolicy

__all__ = ["Metadata", "exif_block", "for_output", "read_metadata", "rebuilt_exif"]

_GPS = ExifTags.IFD.GPSInfo
_EXIF = ExifTags.IFD.Exif
_ORIENTATION = ExifTags.Base.Orientation
# Tags of a TIFF that describe how its pixels are stored, or that are carried apart.
_STORAGE_TAGS = frozenset(
    {254, 255, 256, 257, 258, 259, 262, 263, 266, 273, 277, 278, 279, 284, 285, 290, 291, 297, 301, 317, 318,
     319, 320, 322, 323, 324, 325, 330, 338, 339, 347, 529, 530, 531, 532, 700, 34675}
)  # fmt: skip
# Offsets to groups, which Pillow keeps apart.
_POINTERS = frozenset({int(_EXIF), int(_GPS), int(ExifTags.IFD.Interop)})
_SIZE_TAGS = (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)
_PREFIX = b"Exif\x00\x00"
_UNREADABLE = (ValueError, TypeError, KeyError, SyntaxError, OSError, OverflowError, struct.error)
_XMP_ORIENTATION = re.compile(rb'(tiff:Orientation(?:="|>))[2-8]')
_XMP_GPS = re.compile(rb'\s+exif:GPS\w+="[^"]*"|<exif:GPS(\w+)>.*?</exif:GPS\1>', re.DOTALL)
_COLOUR_SPACES = {b"RGB ": frozenset({"RGB", "RGBA"}), b"GRAY": frozenset({"L", "LA"})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """EXIF as a TIFF block without its "Exif" prefix, ICC profile, XMP packet, dots per inch."""

    exif: bytes | None = None
    icc: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None


def read_metadata(path: Path) -> Metadata:
    """From the header alone. Raises what `shared.media.open_image` raises."""
    with open_image(path) as image:
        xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
        return Metadata(
            exif=_raw_exif(image),
            icc=image.info.get("icc_profile") or None,
            xmp=xmp.encode() if isinstance(xmp, str) else xmp,
            dpi=_dpi(image),
        )


def for_output(metadata: Metadata, *, policy: MetadataPolicy, size: tuple[int, int], mode: str) -> Metadata:
    """As it belongs to an upright picture of `size` and `mode`; an ICC profile of other channels goes."""
    fitting_icc = metadata.icc if metadata.icc and _fits(metadata.icc, mode) else None
    if policy is MetadataPolicy.DROP:
        return Metadata(icc=fitting_icc, dpi=metadata.dpi)
    drop_gps = policy is MetadataPolicy.DROP_LOCATION
    xmp = metadata.xmp
    if xmp is not None:
        xmp = _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)
        xmp = _XMP_GPS.sub(b"", xmp) if drop_gps else xmp
    exif = _upright_exif(metadata.exif, size=size, drop_gps=drop_gps) if metadata.exif else None
    return replace(metadata, exif=exif, icc=fitting_icc, xmp=xmp)


def exif_block(data: bytes) -> Image.Exif:
    """The block as Pillow's object, its texts as the bytes they were: Pillow would write "?" for "é"."""
    exif = Image.Exif()
    exif.load(data)
    for group in (exif, *(exif.get_ifd(pointer) for pointer in (_EXIF, _GPS))):
        group.update(_texts_as_bytes(group))
    return exif


def rebuilt_exif(exif: Image.Exif, *, without_gps: bool = False) -> Image.Exif:
    """The same in a fresh object, without the thumbnail and what only describes the source's storage."""
    fresh = Image.Exif()
    fresh.update({tag: value for tag, value in exif.items() if tag not in _STORAGE_TAGS | _POINTERS})
    fresh.update(_texts_as_bytes(fresh))
    for pointer in (_EXIF,) if without_gps else (_EXIF, _GPS):
        details = exif.get_ifd(pointer)
        if details:
            details = {tag: value for tag, value in details.items() if tag != ExifTags.IFD.Interop}
            fresh.get_ifd(pointer).update(details | _texts_as_bytes(details))
    return fresh


def _texts_as_bytes(group: Mapping[int, Any]) -> dict[int, bytes]:
    return {
        tag: value.encode("latin-1", "replace")
        for tag, value in group.items()
        if isinstance(value, str) and not value.isascii()
    }


def _raw_exif(image: Image.Image) -> bytes | None:
    raw = image.info.get("exif")
    if isinstance(raw, bytes) and raw:
        return raw.removeprefix(_PREFIX)
    if image.format != "TIFF":
        return None
    exif = rebuilt_exif(image.getexif())
    return exif.tobytes().removeprefix(_PREFIX) if len(exif) else None


def _upright_exif(data: bytes, *, size: tuple[int, int], drop_gps: bool) -> bytes | None:
    try:
        loaded = Image.Exif()
        loaded.load(data)
        exif = rebuilt_exif(loaded, without_gps=drop_gps)
        if _ORIENTATION in exif:
            exif[_ORIENTATION] = 1
        if loaded.get_ifd(_EXIF):  # asking a block without the group for it would add an empty one
            details = exif.get_ifd(_EXIF)
            details.update(
                {tag: length for tag, length in zip(_SIZE_TAGS, size, strict=True) if tag in details}
            )
        return exif.tobytes().removeprefix(_PREFIX)
    except _UNREADABLE:
        return None  # a block that cannot be read cannot be made right either


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    dpi = image.info.get("dpi")
    if not isinstance(dpi, tuple) or len(dpi) != 2:
        return None
    across, down = float(dpi[0]), float(dpi[1])
    return (across, down) if across > 0 and down > 0 else None


def _fits(icc: bytes, mode: str) -> bool:
    return mode in _COLOUR_SPACES.get(icc[16:20], frozenset())
