"""What lies in a hot folder right now: the truth that every watcher only hints at."""

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from desktop.store.ledger import INODE_MASK, Stamp
from desktop.watching.names import Skip, is_skipped_folder, why_skipped

__all__ = ["FolderIdentity", "Scan", "SourceMissing", "folder_identity", "scan_folder"]

FolderIdentity = tuple[int, int]  # device, inode


class SourceMissing(Exception):
    """The source folder itself cannot be read: nothing below it may be taken for deleted."""


@dataclass(slots=True)
class Scan:
    """`files` by path relative to the source, `/` between the parts, exactly as the disk spells it.

    `unread` are folders that could not be listed: what lies below them is unknown, not gone.
    """

    files: dict[str, Stamp] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    odd: dict[str, Skip] = field(default_factory=dict)
    skipped: Counter[Skip] = field(default_factory=Counter)

    def knows_about(self, path: str) -> bool:
        """Whether the absence of `path` from `files` means that it is gone."""
        return not any(not folder or path.startswith(f"{folder}/") for folder in self.unread)


def folder_identity(folder: Path) -> FolderIdentity:
    """Raises SourceMissing."""
    try:
        status = folder.stat()
    except OSError as error:
        raise SourceMissing(str(error)) from error
    if not stat.S_ISDIR(status.st_mode):
        raise SourceMissing(f"{folder} is not a folder")
    return status.st_dev & INODE_MASK, status.st_ino & INODE_MASK


def scan_folder(
    root: Path,
    *,
    suffixes: frozenset[str],
    start: str = "",
    excluded: frozenset[str] = frozenset(),
) -> Scan:
    """List every picture below `root`/`start`, following no link. Raises SourceMissing.

    `excluded` are relative paths of folders to leave out.
    """
    if not start:
        folder_identity(root)
    scan = Scan()
    waiting = [start]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(root / folder if folder else root) as entries:
                waiting.extend(_list_folder(entries, folder, scan, suffixes, excluded))
        except OSError as error:
            _note_unread(scan, folder, error)
    return scan


def _list_folder(
    entries: Iterator["os.DirEntry[str]"],
    folder: str,
    scan: Scan,
    suffixes: frozenset[str],
    excluded: frozenset[str],
) -> list[str]:
    """Add one folder's files to `scan`; return its subfolders."""
    prefix = f"{folder}/" if folder else ""
    subfolders: list[str] = []
    files = scan.files
    for entry in entries:
        name = entry.name
        if entry.is_dir(follow_symlinks=False):
            if not is_skipped_folder(name) and prefix + name not in excluded:
                subfolders.append(prefix + name)
            continue
        skip = why_skipped(name, suffixes)
        if skip is None and not entry.is_file(follow_symlinks=False):
            skip = Skip.LINK if entry.is_symlink() else Skip.SPECIAL
            scan.odd[prefix + name] = skip
        if skip is not None:
            scan.skipped[skip] += 1
            continue
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue  # deleted or renamed since it was listed
        files[prefix + name] = (status.st_size, status.st_mtime_ns, status.st_ino & INODE_MASK)
    return subfolders


def _note_unread(scan: Scan, folder: str, error: OSError) -> None:
    if not folder and error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ENOTCONN, errno.EIO}:
        raise SourceMissing(str(error)) from error
    scan.unread.append(folder)
