from pathlib import Path

import pytest
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from desktop.state.spotlight import Spotlight, Subject
from shared.jobs.state import JobState
from tests.desktop.window import a_job, a_preset

_FRAME = QImage(4, 4, QImage.Format.Format_RGB32)


def test_follows_the_job_that_it_shows(qtbot: QtBot) -> None:
    spotlight = Spotlight()
    spotlight.show_job(a_job(1))
    done = a_job(1, JobState.COMPLETED, outputs=(Path("/out/1.png"),))

    spotlight.refresh([a_job(2), done])

    assert spotlight.subject == Subject(
        title="1.png", before=Path("/in/1.png"), after=Path("/out/1.png"), job=done
    )


def test_shows_previews_of_its_own_job_until_the_result_is_there(qtbot: QtBot) -> None:
    spotlight = Spotlight()
    spotlight.show_job(a_job(1))
    spotlight.take_preview("job-2", _FRAME)
    assert spotlight.preview is None
    spotlight.take_preview("job-1", _FRAME)
    spotlight.refresh([a_job(1, JobState.PROCESSING, fraction=0.5)])
    assert spotlight.preview is _FRAME

    spotlight.refresh([a_job(1, JobState.COMPLETED, outputs=(Path("/out/1.png"),))])

    assert spotlight.preview is None


@pytest.mark.parametrize("state", [JobState.CANCELLED, JobState.FAILED])
def test_a_preview_goes_with_the_job_that_will_have_no_result(state: JobState) -> None:
    spotlight = Spotlight()
    spotlight.show_job(a_job(1, JobState.PROCESSING), preview=_FRAME)
    spotlight.refresh([a_job(1, JobState.SAVING)])
    assert spotlight.preview is not None

    spotlight.refresh([a_job(1, state)])
    assert spotlight.preview is None


def test_stays_with_what_the_user_looks_at(qtbot: QtBot) -> None:
    spotlight = Spotlight()
    spotlight.show_preset(a_preset())
    with qtbot.assertNotEmitted(spotlight.changed):
        spotlight.refresh([a_job(1, JobState.PROCESSING)])
