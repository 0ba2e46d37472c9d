"""Whether the system tells of every change below a folder, or only of those made on this machine."""

import ctypes
import os
import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

__all__ = ["Mount", "mount_of", "mount_of_type", "mount_type"]

_MOUNT_TABLE = Path("/proc/self/mountinfo")
_REMOTE_TYPES = frozenset({
    "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "davfs", "drvfs", "fuse", "gfs2", "glusterfs", "lustre",
    "macfuse", "ncpfs", "nfs", "nfs4", "ocfs2", "prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs",
    "webdav",
})  # fmt: skip
_LOCAL_TYPES = frozenset({
    "aufs", "bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "hfsplus", "jfs", "msdos", "ntfs",
    "ntfs3", "overlay", "ramfs", "reiserfs", "tmpfs", "vfat", "xfs", "zfs",
})  # fmt: skip
_LOCAL_FUSE = frozenset({"fuse.fuse-overlayfs", "fuseblk", "fuse.ntfs-3g", "fuse.exfat", "fuse.lxcfs"})
_DRIVE_REMOTE, _LOCAL_DRIVES = 4, {2, 3, 6}  # GetDriveTypeW


class Mount(StrEnum):
    LOCAL = "local"
    NETWORK = "network"
    UNKNOWN = "unknown"


def mount_of(folder: Path) -> Mount:
    """`folder` must be a real path. What cannot be told is to be probed."""
    if sys.platform == "win32":
        return _windows_mount(folder)
    try:
        kind = mount_type(folder, os.fsdecode(_MOUNT_TABLE.read_bytes()).splitlines())
    except OSError:
        return Mount.UNKNOWN
    return Mount.UNKNOWN if kind is None else mount_of_type(kind)


def mount_of_type(kind: str) -> Mount:
    """By the name of a file system, as Linux has it."""
    if kind in _LOCAL_TYPES | _LOCAL_FUSE:
        return Mount.LOCAL
    return Mount.NETWORK if kind in _REMOTE_TYPES or kind.startswith("fuse.") else Mount.UNKNOWN


def mount_type(folder: Path, table: Iterable[str]) -> str | None:
    """The file system type of the mount that holds `folder`, from the lines of mountinfo (proc(5))."""
    found: tuple[int, str] | None = None
    for line in table:
        fields = line.split(" ")
        if "-" not in fields or len(fields) < 7:
            continue
        point = Path(_unescaped(fields[4]))
        # Of equal mount points the later one hides the earlier.
        if folder.is_relative_to(point) and (found is None or len(point.parts) >= found[0]):
            found = (len(point.parts), fields[fields.index("-", 6) + 1])
    return None if found is None else found[1]


def _unescaped(field: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, character)
    return field


def _windows_mount(folder: Path) -> Mount:
    if folder.drive.startswith("\\\\"):
        return Mount.NETWORK
    kind = getattr(ctypes, "windll").kernel32.GetDriveTypeW(f"{folder.drive}\\")  # noqa: B009 - absent elsewhere
    if kind in _LOCAL_DRIVES:
        return Mount.LOCAL
    return Mount.NETWORK if kind == _DRIVE_REMOTE else Mount.UNKNOWN
