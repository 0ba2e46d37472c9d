from pathlib import Path

import pytest

from desktop.watching.mounts import Mount, mount_of, mount_of_type, mount_type

TABLE = [
    "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw",
    "30 22 0:40 / /mnt/nas rw shared:1 - nfs4 nas:/photos rw",
    "31 22 0:41 / /mnt/my\\040disk rw - fuseblk /dev/sdb1 rw",
    "32 30 254:1 / /mnt/nas/local rw - xfs /dev/vdb rw",
    "a line of another kind",
]


def test_the_deepest_mount_holds_the_folder() -> None:
    assert mount_type(Path("/home/me"), TABLE) == "ext4"
    assert mount_type(Path("/mnt/nas/2024"), TABLE) == "nfs4"
    assert mount_type(Path("/mnt/nas/local/x"), TABLE) == "xfs"
    assert mount_type(Path("/mnt/nasty"), TABLE) == "ext4"


def test_escaped_mount_points_are_read() -> None:
    assert mount_type(Path("/mnt/my disk/in"), TABLE) == "fuseblk"


def test_this_machines_disk_is_local(tmp_path: Path) -> None:
    assert mount_of(tmp_path) is Mount.LOCAL


@pytest.mark.parametrize(
    ("kind", "mount"),
    [
        ("ext4", Mount.LOCAL),
        ("fuseblk", Mount.LOCAL),
        ("nfs4", Mount.NETWORK),
        ("cifs", Mount.NETWORK),
        ("9p", Mount.NETWORK),
        ("fuse.sshfs", Mount.NETWORK),
        ("fakeowner", Mount.UNKNOWN),
    ],
)
def test_shares_are_told_from_disks_and_the_rest_is_to_be_asked(kind: str, mount: Mount) -> None:
    assert mount_of_type(kind) is mount
