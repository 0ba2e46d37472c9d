"""File names: made safe for every system, numbered, compared as file systems compare them."""

import os
import re
import unicodedata
from collections.abc import Container
from pathlib import PurePath

from shared.legible import plain_name

__all__ = ["fold_name", "free_name", "numbered_name", "safe_name"]

_MAX_BYTES = 255
_FORBIDDEN = re.compile(r'[<>:"/\\|?*]')
_DEVICES = re.compile(r"(?i)^(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])$")


def safe_name(name: str, *, fallback: str = "file") -> str:
    """A base name that every system accepts, from a name given by somebody else.

    Only the last path component is used; undecodable bytes become "_".
    """
    text = plain_name(name.replace("\\", "/").rsplit("/", 1)[-1])
    text = _FORBIDDEN.sub("_", text).rstrip(". ").lstrip(" ")
    if not text.strip("."):
        text = fallback
    stem, dot, rest = text.partition(".")
    if _DEVICES.match(stem.rstrip()):
        text = f"{stem}_{dot}{rest}"
    return _shortened(PurePath(text).stem, PurePath(text).suffix)


def numbered_name(name: str, number: int) -> str:
    """`name (2).ext` for 2, and so on; the stem gives way where 255 bytes are not enough."""
    path = PurePath(name)
    return _shortened(path.stem, f" ({number}){path.suffix}")


def free_name(name: str, taken: Container[str]) -> str:
    """`name`, or the first numbered form of it, whose folded form is not in `taken`."""
    candidate, number = _shortened(PurePath(name).stem, PurePath(name).suffix), 1
    while fold_name(candidate) in taken:
        number += 1
        candidate = numbered_name(name, number)
    return candidate


def fold_name(name: str) -> str:
    """Equal for names that some file system takes for the same: letter case and Unicode form."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _shortened(stem: str, ending: str) -> str:
    room = _MAX_BYTES - len(os.fsencode(ending))
    while len(os.fsencode(stem)) > room:
        stem = stem[:-1]
    return stem + ending
