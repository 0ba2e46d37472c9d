from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QColor, QDragEnterEvent, QDragLeaveEvent, QDropEvent, QGuiApplication, QImage
from PySide6.QtWidgets import QApplication, QPushButton
from pytestqt.qtbot import QtBot

from desktop.state.session import Session
from desktop.ui.widgets.drop_zone import DropZone
from tests.desktop.window import FINDER, a_picture


@pytest.fixture
def zone(session: Session, qtbot: QtBot) -> DropZone:
    zone = DropZone(session.sources, session.pictures)
    qtbot.addWidget(zone)
    zone.show()
    session.sources.use(FINDER)
    return zone


_HOW = (Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)


def _drag(zone: DropZone, data: QMimeData) -> None:
    event = QDragEnterEvent(QPoint(5, 5), Qt.DropAction.CopyAction, data, *_HOW)
    QApplication.sendEvent(zone, event)
    assert event.isAccepted()


def _drop(zone: DropZone, data: QMimeData) -> bool:
    event = QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, *_HOW)
    QApplication.sendEvent(zone, event)
    return event.isAccepted()


def _files(*paths: Path) -> QMimeData:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    return data


def test_takes_pictures_and_shows_how_many(
    zone: DropZone, session: Session, tmp_path: Path, qtbot: QtBot
) -> None:
    data = _files(a_picture(tmp_path / "a.png"), a_picture(tmp_path / "b.png"))
    _drag(zone, data)
    assert zone.property("over") == "yes"

    with qtbot.waitSignal(session.sources.changed):
        assert _drop(zone, data)

    assert zone.property("over") == ""
    assert zone.summary == "2 pictures"


def test_takes_a_folder(zone: DropZone, session: Session, tmp_path: Path, qtbot: QtBot) -> None:
    a_picture(tmp_path / "shoot" / "a.png")
    data = _files(tmp_path / "shoot")
    _drag(zone, data)
    with qtbot.waitSignal(session.sources.changed):
        assert _drop(zone, data)

    assert zone.summary == "1 picture"


def test_says_why_it_does_not_take_something(zone: DropZone, tmp_path: Path) -> None:
    data = _files(tmp_path / "notes.txt")
    _drag(zone, data)
    assert (zone.property("over"), zone.hint) == ("no", "Safelight cannot read .txt files")
    assert not _drop(zone, data)

    words = QMimeData()
    words.setUrls([QUrl("https://example.org/a.png")])
    _drag(zone, words)
    assert (zone.property("over"), zone.hint) == ("no", "These are no files on this computer")

    QApplication.sendEvent(zone, QDragLeaveEvent())
    assert (zone.property("over"), zone.hint) == ("", "or paste a picture with Ctrl+V")


def test_pastes_a_picture_or_files(
    zone: DropZone, session: Session, tmp_path: Path, qtbot: QtBot, qapp: QApplication
) -> None:
    picture = QImage(8, 6, QImage.Format.Format_RGB32)
    picture.fill(QColor("#445566"))
    QGuiApplication.clipboard().setImage(picture)
    with qtbot.waitSignal(session.sources.changed):
        zone.paste()

    QGuiApplication.clipboard().setMimeData(_files(a_picture(tmp_path / "a.png")))
    with qtbot.waitSignal(session.sources.changed):
        zone.paste()

    assert session.sources.files == (tmp_path / "pasted" / "pasted.png", tmp_path / "a.png")
    QGuiApplication.clipboard().clear()  # else it outlives the application


def test_invites_again_when_cleared(zone: DropZone, session: Session, tmp_path: Path, qtbot: QtBot) -> None:
    with qtbot.waitSignal(session.sources.changed):
        session.sources.add([a_picture(tmp_path / "a.png")])
    clear = next(button for button in zone.findChildren(QPushButton) if button.text() == "&Clear")
    assert clear.isVisibleTo(zone)

    clear.click()

    assert session.sources.files == ()
    assert not clear.isVisibleTo(zone)
