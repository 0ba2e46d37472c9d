from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from desktop.state.job_table import JobColumn
from desktop.state.session import Session
from desktop.ui.widgets.queue_table import QueueTable
from desktop.ui.widgets.status_text import status_of
from shared.jobs.state import JobState
from tests.desktop.window import a_job


@pytest.fixture
def table(session: Session, qtbot: QtBot) -> QueueTable:
    table = QueueTable(session.jobs, session.pictures)
    qtbot.addWidget(table)
    table.resize(700, 300)
    table.show()
    session.take_jobs(
        [
            a_job(1, JobState.COMPLETED, outputs=(Path("/out/1.png"),)),
            a_job(2, JobState.FAILED, error="2.png is truncated: copy it again"),
            a_job(3, JobState.PROCESSING, fraction=0.4),
        ]
    )
    return table


def _click_action(table: QueueTable, row: int, qtbot: QtBot) -> None:
    cell = table.visualRect(table.model().index(row, JobColumn.ACTION))
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=cell.center())


def test_the_sign_at_the_end_does_what_the_job_allows(table: QueueTable, qtbot: QtBot) -> None:
    with qtbot.waitSignal(table.cancel_wanted, check_params_cb=lambda job: job == "job-3"):
        _click_action(table, 0, qtbot)
    with qtbot.waitSignal(table.retry_wanted, check_params_cb=lambda job: job == "job-2"):
        _click_action(table, 1, qtbot)
    with qtbot.waitSignal(table.reveal_wanted, check_params_cb=lambda path: path == Path("/out/1.png")):
        _click_action(table, 2, qtbot)


def test_keys_act_on_the_chosen_rows(table: QueueTable, qtbot: QtBot) -> None:
    cancelled: list[str] = []
    retried: list[str] = []
    table.cancel_wanted.connect(cancelled.append)
    table.retry_wanted.connect(retried.append)
    table.selectAll()

    qtbot.keyClick(table, Qt.Key.Key_Delete)
    qtbot.keyClick(table, Qt.Key.Key_R)

    assert (cancelled, retried) == (["job-3"], ["job-2"])


def test_enter_opens_the_finished_file(table: QueueTable, qtbot: QtBot) -> None:
    table.selectRow(2)
    with qtbot.waitSignal(table.open_wanted, check_params_cb=lambda path: path == Path("/out/1.png")):
        qtbot.keyClick(table, Qt.Key.Key_Return)


def test_a_chosen_row_is_shown(table: QueueTable, qtbot: QtBot) -> None:
    with qtbot.waitSignal(table.job_picked, check_params_cb=lambda job: job.id == "job-2"):
        table.setCurrentIndex(table.model().index(1, 0))


def test_paints_every_state(table: QueueTable, session: Session, qapp: QApplication) -> None:
    session.take_jobs([a_job(10 + place, state) for place, state in enumerate(JobState)])
    table.resize(700, 900)

    assert not table.grab().isNull()


@pytest.mark.parametrize("width", [420, 700, 1400])
def test_fills_its_width(table: QueueTable, width: int) -> None:
    table.resize(width, 300)
    assert sum(map(table.columnWidth, JobColumn)) == table.viewport().width()


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (a_job(1), "Waiting"),
        (a_job(1, JobState.PROCESSING), "Developing"),
        (replace(a_job(1, JobState.PROCESSING), stage="running", step=7, steps=20), "Step 7 of 20"),
        (a_job(1, JobState.SAVING), "Saving"),
        (a_job(1, JobState.COMPLETED), "Done"),
        (a_job(1, JobState.CANCELLED), "Cancelled"),
        (a_job(1, JobState.FAILED, error="the disk is full"), "The disk is full"),
        (a_job(1, JobState.FAILED, error="a.png is empty"), "a.png is empty"),
        (a_job(1, waits_for="no server answers"), "No server answers"),
        (a_job(1, JobState.COMPLETED, error="developed, but not saved"), "Developed, but not saved"),
    ],
)
def test_says_the_state_in_words(job: object, words: str) -> None:
    assert status_of(job).text == words
