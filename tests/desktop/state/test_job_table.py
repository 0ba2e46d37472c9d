from pathlib import Path

from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtGui import QImage
from pytestqt.modeltest import ModelTester

from desktop.state.job_table import JobColumn, JobRole, JobTable
from shared.jobs.state import JobState
from tests.desktop.window import a_job


def _changes(table: JobTable) -> list[tuple[int, int]]:
    seen: list[tuple[int, int]] = []
    table.dataChanged.connect(lambda first, last, _roles=(): seen.append((first.row(), last.row())))
    return seen


def test_shows_the_newest_job_first(qtmodeltester: ModelTester) -> None:
    table = JobTable()
    table.apply([a_job(2), a_job(1)])
    table.apply([a_job(3)])
    qtmodeltester.check(table)

    assert [job.id for job in table.jobs()] == ["job-3", "job-2", "job-1"]
    assert [table.index(row, JobColumn.PICTURE).data() for row in range(3)] == ["3.png", "2.png", "1.png"]
    assert table.index(0, 0).data(JobRole.JOB) == a_job(3)


def test_no_name_acts_on_the_line_that_it_stands_in() -> None:
    table = JobTable()
    table.apply([a_job(1, source=Path("/in/holiday\u202egnp.exe"))])

    shown = table.index(0, JobColumn.PICTURE)
    assert shown.data() == "holiday\\u202egnp.exe"
    assert shown.data(Qt.ItemDataRole.ToolTipRole) == "/in/holiday\\u202egnp.exe"


def test_neighbouring_changes_are_one_signal() -> None:
    table = JobTable()
    table.apply([a_job(number) for number in range(6)])
    seen = _changes(table)

    table.apply([a_job(number, JobState.PROCESSING) for number in (0, 1, 5)])

    assert seen == [(0, 0), (4, 5)]


def test_a_hundred_thousand_jobs_arrive_in_one_insertion_and_change_in_one_signal() -> None:
    table = JobTable()
    inserted: list[tuple[int, int]] = []
    table.rowsInserted.connect(lambda _parent, first, last: inserted.append((first, last)))
    jobs = [a_job(number) for number in range(100_000)]

    table.apply(jobs)
    seen = _changes(table)
    table.apply(jobs)

    assert inserted == [(0, 99_999)]
    assert seen == [(0, 99_999)]
    assert table.rowCount(QModelIndex()) == 100_000


def test_a_preview_goes_when_its_job_ends() -> None:
    table = JobTable()
    table.apply([a_job(1, JobState.PROCESSING)])
    picture = QImage(4, 4, QImage.Format.Format_RGB32)

    table.set_preview("job-1", picture)
    assert table.preview("job-1") is picture
    table.apply([a_job(1, JobState.CANCELLED)])
    assert table.preview("job-1") is None
    table.set_preview("job-1", picture)
    assert table.preview("job-1") is None


def test_a_failed_job_says_why() -> None:
    table = JobTable()
    table.apply([a_job(1, JobState.FAILED, error="1.png is truncated: copy it again")])

    assert table.index(0, JobColumn.STATUS).data() == "1.png is truncated: copy it again"
