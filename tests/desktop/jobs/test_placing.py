"""Files come to their places whole, once, and over no other."""

import errno
import os
from pathlib import Path

import pytest

from desktop.jobs.placing import (
    DeliveryBlocked,
    FolderNames,
    place_exclusively,
    staging_file,
    staging_path,
    was_placed,
)
from shared.files import digest_bytes


def _staged(folder: Path, data: bytes = b"picture") -> Path:
    path = staging_path(folder, "job", 0)
    with staging_file(path) as file:
        file.write(data)
    return path


def test_a_file_is_placed_under_its_name(tmp_path: Path) -> None:
    place_exclusively(_staged(tmp_path), tmp_path / "a.jpg")
    assert (tmp_path / "a.jpg").read_bytes() == b"picture"


def test_a_name_that_is_taken_stays_with_its_owner(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"theirs")
    with pytest.raises(FileExistsError):
        place_exclusively(_staged(tmp_path), tmp_path / "a.jpg")
    assert (tmp_path / "a.jpg").read_bytes() == b"theirs"


def test_without_hard_links_a_file_is_placed_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    place_exclusively(_staged(tmp_path), tmp_path / "a.jpg")
    assert (tmp_path / "a.jpg").read_bytes() == b"picture"
    with pytest.raises(FileExistsError):
        place_exclusively(_staged(tmp_path, b"other"), tmp_path / "a.jpg")
    assert (tmp_path / "a.jpg").read_bytes() == b"picture"


def test_staging_again_never_writes_into_a_placed_file(tmp_path: Path) -> None:
    place_exclusively(_staged(tmp_path, b"first"), tmp_path / "a.jpg")
    _staged(tmp_path, b"second")
    assert (tmp_path / "a.jpg").read_bytes() == b"first"


def test_an_error_while_writing_leaves_nothing(tmp_path: Path) -> None:
    path = staging_path(tmp_path, "job", 0)
    with pytest.raises(ValueError, match="half-way"), staging_file(path) as file:  # noqa: PT012
        file.write(b"half")
        raise ValueError("half-way")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_blocks_the_delivery_and_leaves_nothing(tmp_path: Path) -> None:
    path = staging_path(tmp_path, "job", 0)
    with pytest.raises(DeliveryBlocked, match="the disk is full"), staging_file(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_blocks_the_delivery(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(DeliveryBlocked, match="cannot be written"), staging_file(tmp_path / "out" / "x"):
        pass


def test_what_a_dead_process_placed_is_recognised(tmp_path: Path) -> None:
    digest = digest_bytes(b"picture")
    staged = _staged(tmp_path)
    final = tmp_path / "a.jpg"
    assert not was_placed(staged, final, digest)
    place_exclusively(staged, final)
    assert was_placed(staged, final, digest)
    staged.unlink()
    assert was_placed(staged, final, digest)
    final.write_bytes(b"another")
    assert not was_placed(staged, final, digest)


def test_a_placed_file_that_was_moved_on_counts_as_placed(tmp_path: Path) -> None:
    staged = _staged(tmp_path)
    place_exclusively(staged, tmp_path / "a.jpg")
    (tmp_path / "a.jpg").rename(tmp_path / "moved.jpg")
    assert was_placed(staged, tmp_path / "a.jpg", digest_bytes(b"picture"))


def test_names_look_past_letter_case_and_see_what_others_add(tmp_path: Path) -> None:
    names = FolderNames()
    (tmp_path / "IMG.JPG").touch()
    first = names.choose(tmp_path, "img.jpg")
    assert first == tmp_path / "img (2).jpg"
    first.touch()
    names.add(first)
    (tmp_path / "img (3).jpg").touch()
    assert names.choose(tmp_path, "img.jpg") == tmp_path / "img (4).jpg"
