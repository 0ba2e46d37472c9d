from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from desktop.state.session import Session
from desktop.ui.widgets.activity_pane import ActivityPane
from shared.jobs.state import JobState
from tests.desktop.window import a_job, a_picture


@pytest.fixture
def pane(session: Session, qtbot: QtBot, tmp_path: Path) -> ActivityPane:
    pane = ActivityPane(session)
    qtbot.addWidget(pane)
    pane.resize(700, 300)
    pane.show()
    session.take_jobs(
        [
            a_job(number, JobState.COMPLETED, outputs=(a_picture(tmp_path / f"{number}.png"),))
            for number in (1, 2)
        ]
    )
    pane.show_results()
    return pane


def _button(pane: ActivityPane, text: str) -> QPushButton:
    return next(button for button in pane.findChildren(QPushButton) if button.text() == text)


def test_nothing_can_be_opened_before_it_is_chosen(pane: ActivityPane) -> None:
    assert not _button(pane, "O&pen").isEnabled()


def test_a_chosen_result_is_compared_shown_and_opened(
    pane: ActivityPane, session: Session, tmp_path: Path, qtbot: QtBot
) -> None:
    pane.results.setCurrentIndex(session.results.index(1, 0))
    assert session.spotlight.subject is not None
    assert session.spotlight.subject.after == tmp_path / "1.png"

    with qtbot.waitSignal(pane.reveal_wanted, check_params_cb=lambda path: path == tmp_path / "1.png"):
        _button(pane, "Show &in folder").click()
    with qtbot.waitSignal(pane.open_wanted, check_params_cb=lambda path: path == tmp_path / "1.png"):
        _button(pane, "O&pen").click()
    with qtbot.waitSignal(pane.open_wanted):
        qtbot.keyClick(pane.results, Qt.Key.Key_Return)


def test_paints_what_was_read_and_what_was_not(pane: ActivityPane, session: Session, qtbot: QtBot) -> None:
    session.take_jobs([a_job(3, JobState.COMPLETED, outputs=(Path("/gone.png"),))])
    pane.grab()
    qtbot.waitUntil(lambda: not session.pictures.is_reading)

    assert not pane.grab().isNull()
