"""Which files a person means by the paths given."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from desktop.watching.names import is_skipped_folder, why_skipped
from shared.errors import UsageError
from shared.media import READABLE_SUFFIXES

__all__ = ["FoundFile", "NothingFound", "gather_files"]


class NothingFound(UsageError):
    code = "nothing_found"


@dataclass(frozen=True, slots=True)
class FoundFile:
    """`relative` is the place below the output folder."""

    path: Path
    relative: PurePath


def gather_files(paths: Sequence[Path], *, out_folder: Path) -> tuple[FoundFile, ...]:
    """Files as named, and the pictures in folders with their subfolders; blocking.

    The output folder itself is passed over. Raises NothingFound naming the path.
    """
    found: dict[Path, FoundFile] = {}
    for path in paths:
        if path.is_dir():
            files = list(_walk(path, path, out_folder))
            if not files:
                raise NothingFound(f"{path} holds no pictures", file=str(path))
        elif path.exists():
            files = [FoundFile(path.absolute(), PurePath(path.name))]
        else:
            raise NothingFound(f"{path} does not exist", file=str(path))
        for file in files:
            found.setdefault(file.path, file)
    return tuple(found.values())


def _walk(top: Path, folder: Path, out_folder: Path) -> Iterator[FoundFile]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise UsageError(f"{folder} cannot be read: {error.strerror}", file=str(folder)) from error
    for entry in entries:
        path = Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            if not is_skipped_folder(entry.name) and not _is_same(path, out_folder):
                yield from _walk(top, path, out_folder)
        elif entry.is_file(follow_symlinks=False) and why_skipped(entry.name, READABLE_SUFFIXES) is None:
            yield FoundFile(path.absolute(), path.relative_to(top))


def _is_same(path: Path, other: Path) -> bool:
    return other.exists() and path.samefile(other)
