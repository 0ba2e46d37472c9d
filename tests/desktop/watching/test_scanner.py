import os
import socket
from pathlib import Path

import pytest

from desktop.watching.names import Skip
from desktop.watching.scanner import SourceMissing, scan_folder

SUFFIXES = frozenset({".png"})


def touch(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_pictures_are_found_in_every_subfolder(tmp_path: Path) -> None:
    for name in ("a.png", "sub/b.PNG", "sub/deep/er/c.png", ".hidden/d.png", "notes.txt"):
        touch(tmp_path / name)

    scan = scan_folder(tmp_path, suffixes=SUFFIXES)

    assert set(scan.files) == {"a.png", "sub/b.PNG", "sub/deep/er/c.png"}
    assert dict(scan.skipped) == {Skip.NOT_A_PICTURE: 1}
    status = (tmp_path / "a.png").stat()
    assert scan.files["a.png"] == (1, status.st_mtime_ns, status.st_ino)


def test_links_pipes_and_sockets_are_left_alone(tmp_path: Path) -> None:
    source = tmp_path / "source"
    outside = touch(tmp_path / "outside.png")
    touch(source / "real.png")
    (source / "link.png").symlink_to(outside)
    (source / "broken.png").symlink_to(tmp_path / "nothing")
    (source / "loop").symlink_to(source)
    os.mkfifo(source / "pipe.png")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(source / "socket.png"))

        scan = scan_folder(source, suffixes=SUFFIXES)

    assert set(scan.files) == {"real.png"}
    assert scan.odd == {
        "link.png": Skip.LINK,
        "broken.png": Skip.LINK,
        "pipe.png": Skip.SPECIAL,
        "socket.png": Skip.SPECIAL,
    }


def test_names_of_every_kind_come_through(tmp_path: Path) -> None:
    names = ["e\u0301.png", "\u00e9.png", "📷 photo.png", "שלום.png", "n" * 251 + ".png", " trailing .png"]
    for name in names:
        touch(tmp_path / name, name.encode())
    touch(tmp_path / os.fsdecode(b"bad\xff\xfe.png"))

    scan = scan_folder(tmp_path, suffixes=SUFFIXES)

    assert set(scan.files) == {*names, os.fsdecode(b"bad\xff\xfe.png")}


def test_excluded_folders_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path / "out/a.png")
    touch(tmp_path / "sub/out/b.png")

    scan = scan_folder(tmp_path, suffixes=SUFFIXES, excluded=frozenset({"out"}))

    assert set(scan.files) == {"sub/out/b.png"}


def test_what_cannot_be_listed_is_unknown_and_not_gone(tmp_path: Path) -> None:
    scan = scan_folder(tmp_path, suffixes=SUFFIXES)
    scan.unread.append("closed")

    assert not scan.knows_about("closed/a.png")
    assert scan.knows_about("closedness/a.png")
    assert scan.knows_about("a.png")


def test_a_missing_source_is_no_empty_one(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing):
        scan_folder(tmp_path / "nothing", suffixes=SUFFIXES)
