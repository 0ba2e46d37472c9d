"""Which names in a hot folder are worth a look. Pure."""

from enum import StrEnum

from shared.files import TEMPORARY_PREFIX

__all__ = ["PROBE_PREFIX", "Skip", "is_skipped_folder", "why_skipped"]

PROBE_PREFIX = f"{TEMPORARY_PREFIX}probe-"  # written to see whether the folder reports it

# What browsers, editors, office programs and sync clients call a file that is not finished.
_TEMPORARY_SUFFIXES = frozenset(
    {
        ".tmp",
        ".temp",
        ".part",
        ".partial",
        ".crdownload",
        ".download",
        ".filepart",
        ".opdownload",
        ".swp",
        ".!ut",
    }
)
_TEMPORARY_STARTS = (TEMPORARY_PREFIX, "~$", ".~", ".syncthing.", "~syncthing~", ".goutputstream-")

# Folders that systems and network disks keep for themselves.
_SYSTEM_FOLDERS = frozenset(
    {"@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found", "__macosx"}
)


class Skip(StrEnum):
    HIDDEN = "hidden"
    TEMPORARY = "temporary"
    NOT_A_PICTURE = "not a picture"
    LINK = "a link"
    SPECIAL = "not a regular file"


def why_skipped(name: str, suffixes: frozenset[str]) -> Skip | None:
    """Why a file of this name is not looked at, or None. `suffixes` are lower case, with the dot."""
    if name[0] not in ".~" and name[name.rfind(".") :] in suffixes:
        return None  # the usual case, made quick for scans
    lowered = name.lower()
    if lowered.startswith(_TEMPORARY_STARTS) or lowered.endswith("~"):
        return Skip.TEMPORARY
    if name.startswith("."):
        return Skip.HIDDEN
    dot = lowered.rfind(".")
    suffix = lowered[dot:] if dot > 0 else ""
    if suffix in suffixes:
        return None
    return Skip.TEMPORARY if suffix in _TEMPORARY_SUFFIXES else Skip.NOT_A_PICTURE


def is_skipped_folder(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM_FOLDERS
