from pathlib import Path

from desktop.state.result_list import Result, ResultList
from shared.jobs.state import JobState
from tests.desktop.window import a_job


def test_each_delivered_file_appears_once_newest_first() -> None:
    results = ResultList()
    first = a_job(1, JobState.COMPLETED, outputs=(Path("/out/1.png"),))
    second = a_job(2, JobState.COMPLETED, outputs=(Path("/out/2.png"),))

    results.apply([first, second, a_job(3, JobState.FAILED)])
    results.apply([first])

    shown = [results.index(row, 0).data(256) for row in range(results.rowCount())]
    assert shown == [
        Result("job-2", "Glow", Path("/in/2.png"), Path("/out/2.png")),
        Result("job-1", "Glow", Path("/in/1.png"), Path("/out/1.png")),
    ]


def test_a_completed_job_waits_for_its_delivery() -> None:
    results = ResultList()

    results.apply([a_job(1, JobState.COMPLETED)])
    assert results.rowCount() == 0
    results.apply([a_job(1, JobState.COMPLETED, outputs=(Path("/out/1.png"),))])
    assert results.rowCount() == 1
