import struct
from pathlib import Path

from PySide6.QtCore import QSize
from pytestqt.qtbot import QtBot

from desktop.state.pictures import read_picture
from desktop.state.session import Session
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
