import pytest

from desktop.watching.names import Skip, is_skipped_folder, why_skipped
from shared.media import READABLE_SUFFIXES


@pytest.mark.parametrize(
    "name",
    ["photo.jpg", "PHOTO.JPEG", "été.PNG", "a b.webp", "x.tiff", "raw.NEF", "x.heic", "name.with.dots.avif"],
)
def test_pictures_are_looked_at(name: str) -> None:
    assert why_skipped(name, READABLE_SUFFIXES) is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (".photo.png.Ab3dEf", Skip.HIDDEN),
        ("photo.png.crdownload", Skip.TEMPORARY),
        ("~$photo.png", Skip.TEMPORARY),
        ("photo.png.tmp", Skip.TEMPORARY),
        ("photo.png.part", Skip.TEMPORARY),
        (".syncthing.photo.png.tmp", Skip.TEMPORARY),
        (".~lock.photo.png#", Skip.TEMPORARY),
        (".safelight-0a1b-0.png", Skip.TEMPORARY),
        ("photo.png~", Skip.TEMPORARY),
        ("._photo.jpg", Skip.HIDDEN),
        (".png", Skip.HIDDEN),
        ("Thumbs.db", Skip.NOT_A_PICTURE),
        ("notes", Skip.NOT_A_PICTURE),
    ],
)
def test_others_are_left_alone(name: str, why: Skip) -> None:
    assert why_skipped(name, READABLE_SUFFIXES) is why


def test_folders_of_systems_are_left_alone() -> None:
    skipped = [name for name in (".git", "@eaDir", "lost+found", "2024", "summer") if is_skipped_folder(name)]

    assert skipped == [".git", "@eaDir", "lost+found"]
