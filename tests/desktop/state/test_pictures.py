import os
import struct
from pathlib import Path

from PySide6.QtCore import QSize
from PySide6.QtGui import QColor, QColorSpace, QImage
from pytestqt.qtbot import QtBot

from desktop.state.pictures import Pictures, read_picture
from desktop.state.session import Session
from desktop.state.thumbnail_store import ThumbnailStore
from desktop.views import ScreenPicture
from tests.desktop.window import a_picture


def test_reads_at_reduced_size_and_knows_the_full_one(tmp_path: Path) -> None:
    picture = read_picture(a_picture(tmp_path / "large.jpg", 1200, 800), 300)

    assert picture.image.size() == QSize(300, 200)
    assert picture.full == QSize(1200, 800)


def test_turns_a_picture_upright(tmp_path: Path) -> None:
    path = a_picture(tmp_path / "turned.jpg", 120, 80)
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0) + b"\0\0\0\0"
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])

    picture = read_picture(path, 300)

    assert picture.image.size() == QSize(80, 120)
    assert picture.full == QSize(80, 120)


def test_a_broken_file_is_not_readable(tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\nno more")

    assert not read_picture(path, 100).readable


def test_answers_at_once_and_tells_when_the_picture_is_there(
    session: Session, tmp_path: Path, qtbot: QtBot
) -> None:
    path = a_picture(tmp_path / "one.png")
    assert session.pictures.get(path, 100) is None

    with qtbot.waitSignal(session.pictures.arrived) as told:
        session.pictures.get(path, 100)

    assert told.args == [path, 100]
    picture = session.pictures.get(path, 100)
    assert picture is not None
    assert picture.image.size() == QSize(60, 40)


def _decoded(path: Path, side: int) -> ScreenPicture | None:
    """A decoder that knows files by their name alone."""
    if path.suffix != ".heic":
        return None
    return ScreenPicture(
        width=2, height=1, full_width=6000, full_height=3000, alpha=False, data=b"\xff\0\0\0\xff\0"
    )


def test_what_qt_does_not_know_is_read_by_the_cores_decoder(tmp_path: Path) -> None:
    picture = read_picture(tmp_path / "photo.heic", 100, _decoded)

    assert (picture.image.size(), picture.full) == (QSize(2, 1), QSize(6000, 3000))
    assert [picture.image.pixelColor(x, 0).name() for x in (0, 1)] == ["#ff0000", "#00ff00"]
    assert not read_picture(tmp_path / "notes.txt", 100, _decoded).readable


def test_the_stamp_in_a_raw_file_is_not_taken_for_the_picture(tmp_path: Path) -> None:
    stamp = a_picture(tmp_path / "stamp.tiff", 16, 12).rename(tmp_path / "photo.nef")

    assert not read_picture(stamp, 100).readable


def test_colours_are_brought_to_those_of_the_screen(tmp_path: Path) -> None:
    image = QImage(4, 4, QImage.Format.Format_RGB32)
    image.fill(QColor(100, 200, 100))
    image.setColorSpace(QColorSpace(QColorSpace.NamedColorSpace.AdobeRgb))
    image.save(str(tmp_path / "adobe.png"))

    picture = read_picture(tmp_path / "adobe.png", 100)

    assert picture.image.pixelColor(0, 0).red() < 80


def test_what_came_before_the_decoder_is_tried_again(session: Session, tmp_path: Path, qtbot: QtBot) -> None:
    path = tmp_path / "early.heic"
    path.touch()
    with qtbot.waitSignal(session.pictures.arrived):
        session.pictures.get(path, 100)

    with qtbot.waitSignal(session.pictures.arrived):
        session.pictures.use(_decoded)
    with qtbot.waitSignal(session.pictures.arrived):
        session.pictures.get(path, 100)

    picture = session.pictures.get(path, 100)
    assert picture is not None
    assert picture.readable


def _looked_at(folder: Path, path: Path, qtbot: QtBot) -> QSize:
    pictures = Pictures(thumbnails=ThumbnailStore(folder))
    with qtbot.waitSignal(pictures.arrived):
        pictures.get(path, 160)
    picture = pictures.get(path, 160)
    pictures.close()
    assert picture is not None
    return picture.full


def test_a_thumbnail_is_kept_until_its_picture_changes(tmp_path: Path, qtbot: QtBot) -> None:
    path = a_picture(tmp_path / "large.png", 1200, 800)
    kept = tmp_path / "kept"
    assert _looked_at(kept, path, qtbot) == QSize(1200, 800)
    facts = path.stat()
    path.write_bytes(b"\0" * facts.st_size)  # nothing to be read there any more
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))

    assert _looked_at(kept, path, qtbot) == QSize(1200, 800)

    a_picture(path, 900, 600)
    assert _looked_at(kept, path, qtbot) == QSize(900, 600)


def test_small_and_transparent_pictures_are_not_kept(tmp_path: Path, qtbot: QtBot) -> None:
    clear = QImage(1200, 800, QImage.Format.Format_ARGB32)
    clear.fill(QColor(0, 0, 0, 0))
    clear.save(str(tmp_path / "clear.png"))
    for path in (a_picture(tmp_path / "small.png"), tmp_path / "clear.png"):
        _looked_at(tmp_path / "kept", path, qtbot)

    assert not (tmp_path / "kept").exists()
