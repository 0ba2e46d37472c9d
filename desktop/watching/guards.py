"""Guards of a hot folder: no output where it would be taken for a source, one holder at a time."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from shared.errors import UsageError
from shared.files import replace_file

__all__ = ["FolderBusy", "FolderLock", "OutputOverlapsSource", "check_output_place"]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class OutputOverlapsSource(UsageError):
    code = "output_overlaps_source"


class FolderBusy(UsageError):
    code = "hot_folder_busy"


def check_output_place(source: Path, out: Path, excluded: Iterable[str]) -> None:
    """Refuse an output folder equal to, inside or above the source, links and other names seen through.

    Inside is allowed below a folder named in `excluded`. Both paths are real.
    Raises OutputOverlapsSource.
    """
    if _is_same(source, out):
        raise OutputOverlapsSource(
            "the output folder is the source folder itself: name another one", out=str(out)
        )
    if any(_is_same(parent, source) for parent in out.parents):
        inside = out.relative_to(source).as_posix() if out.is_relative_to(source) else None
        if inside is None or not _is_excluded(inside, excluded):
            raise OutputOverlapsSource(
                "the output folder lies inside the source folder: name another one, or exclude it",
                out=str(out),
            )
    if any(_is_same(parent, out) for parent in source.parents):
        raise OutputOverlapsSource(
            "the source folder lies inside the output folder: name another output folder", out=str(out)
        )


def _is_excluded(inside: str, excluded: Iterable[str]) -> bool:
    return any(inside == folder or inside.startswith(f"{folder}/") for folder in excluded)


def _is_same(one: Path, other: Path) -> bool:
    """By path, or by device and inode where both exist: bind mounts and case show only there."""
    if one == other:
        return True
    try:
        return one.samefile(other)
    except OSError:
        return False


class FolderLock:
    """One holder of a hot folder at a time; the system frees the lock of a process that died.

    The file beside the lock says who holds it, for the message.
    """

    def __init__(self, folder: Path, hot_folder: str) -> None:
        self._lock = FileLock(folder / f"hot-folder-{hot_folder[:32]}.lock")
        self._holder = folder / f"hot-folder-{hot_folder[:32]}.json"

    def __enter__(self) -> Self:
        """Raises FolderBusy."""
        self._holder.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise FolderBusy(
                f"this hot folder is already watched by {self._named()}: end it first"
            ) from error
        replace_file(self._holder, json.dumps({"pid": os.getpid(), "boot": _boot_id()}).encode())
        return self

    def __exit__(self, *_: object) -> None:
        self._holder.unlink(missing_ok=True)
        self._lock.release()

    def _named(self) -> str:
        try:
            return f"process {json.loads(self._holder.read_bytes())['pid']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"


def _boot_id() -> str:
    """Tells this start of the machine from others, where the system can; process ids come again."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
