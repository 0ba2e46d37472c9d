from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QLabel, QToolButton
from pytestqt.qtbot import QtBot

from desktop.state.session import Session
from desktop.ui.widgets.viewer_pane import ViewerPane
from shared.jobs.state import JobState
from tests.desktop.window import a_job, a_picture, a_preset


@pytest.fixture
def viewer(session: Session, qtbot: QtBot) -> ViewerPane:
    viewer = ViewerPane(session.spotlight, session.pictures)
    qtbot.addWidget(viewer)
    viewer.resize(500, 400)
    viewer.show()
    return viewer


def _words(viewer: ViewerPane) -> set[str]:
    return {label.text() for label in viewer.findChildren(QLabel) if label.isVisible()}


def test_says_what_will_stand_here(viewer: ViewerPane) -> None:
    assert "Nothing to show yet" in _words(viewer)


def test_shows_the_example_of_a_preset(
    viewer: ViewerPane, session: Session, tmp_path: Path, qtbot: QtBot
) -> None:
    session.spotlight.show_preset(a_preset(looks=a_picture(tmp_path / "looks.png", 300, 200)))
    qtbot.waitUntil(lambda: not viewer.is_reading)

    assert viewer.compare.isVisible()
    assert "Example of Glow" in _words(viewer)


def test_keeps_the_zoom_when_the_result_arrives(
    viewer: ViewerPane, session: Session, tmp_path: Path, qtbot: QtBot
) -> None:
    source = a_picture(tmp_path / "in.png", 900, 600)
    session.spotlight.show_job(a_job(1, source=source))
    qtbot.waitUntil(lambda: not viewer.is_reading)
    viewer.compare.actual_size()

    done = a_job(1, JobState.COMPLETED, source=source, outputs=(a_picture(tmp_path / "out.png", 900, 600),))
    session.spotlight.refresh([done])
    qtbot.waitUntil(lambda: not session.pictures.is_reading)

    assert viewer.compare.percent == 100
    assert not viewer.compare.is_fitted


def test_shows_the_work_in_progress(
    viewer: ViewerPane, session: Session, tmp_path: Path, qtbot: QtBot
) -> None:
    job = a_job(1, JobState.PROCESSING, source=a_picture(tmp_path / "in.png", 300, 200, "#aa0000"))
    session.spotlight.show_job(job)
    qtbot.waitUntil(lambda: not viewer.is_reading)
    frame = QImage(150, 100, QImage.Format.Format_RGB32)
    frame.fill(QColor("#0000aa"))

    session.spotlight.take_preview("job-1", frame)
    viewer.compare.set_divider(0.0)

    middle = viewer.compare.rect().center()
    assert viewer.compare.grab().toImage().pixelColor(middle.x() + 40, middle.y()) == QColor("#0000aa")


def test_a_picture_that_cannot_be_shown_is_said_so(
    viewer: ViewerPane, session: Session, tmp_path: Path, qtbot: QtBot
) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(b"no picture")
    session.spotlight.show_source(path)

    qtbot.waitUntil(lambda: "This picture cannot be shown here" in _words(viewer))


def test_the_button_shows_the_original_while_it_is_held(
    viewer: ViewerPane, session: Session, tmp_path: Path, qtbot: QtBot
) -> None:
    done = a_job(
        1,
        JobState.COMPLETED,
        source=a_picture(tmp_path / "in.png", 300, 200, "#aa0000"),
        outputs=(a_picture(tmp_path / "out.png", 300, 200, "#0000aa"),),
    )
    session.spotlight.show_job(done)
    qtbot.waitUntil(lambda: not viewer.is_reading)
    viewer.compare.set_divider(0.0)
    middle = viewer.compare.rect().center()
    button = next(one for one in viewer.findChildren(QToolButton) if one.text() == "Original")

    def colour() -> QColor:
        return viewer.compare.grab().toImage().pixelColor(middle.x() + 40, middle.y())

    qtbot.mousePress(button, Qt.MouseButton.LeftButton)
    assert colour() == QColor("#aa0000")
    qtbot.mouseRelease(button, Qt.MouseButton.LeftButton)
    assert colour() == QColor("#0000aa")


def test_says_the_whole_reason_of_the_job_shown(viewer: ViewerPane, session: Session, tmp_path: Path) -> None:
    source = a_picture(tmp_path / "in.png")
    session.spotlight.show_job(a_job(1, waits_for="no ComfyUI server answers: start it", source=source))
    assert viewer.trouble.isVisible()
    assert viewer.trouble.text == "No ComfyUI server answers: start it"

    session.spotlight.refresh([a_job(1, JobState.PROCESSING, source=source)])
    assert not viewer.trouble.isVisible()
