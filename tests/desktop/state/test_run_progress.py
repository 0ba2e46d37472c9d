from desktop.state.run_progress import RunProgress, RunSummary
from shared.jobs.state import JobState
from tests.desktop.window import a_job


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_counts_pictures_and_estimates_from_the_pace() -> None:
    clock = _Clock()
    progress = RunProgress(clock=clock)
    progress.observe([a_job(number) for number in range(4)])
    clock.now += 10

    progress.observe(
        [a_job(0, JobState.COMPLETED), a_job(1, JobState.FAILED), a_job(2, JobState.PROCESSING, fraction=0.5)]
    )

    assert progress.summary() == RunSummary(total=4, done=2, failed=1, fraction=0.625, eta_s=6.0)
    assert progress.failed_ids() == ("job-1",)


def test_says_nothing_about_time_before_the_pace_is_known() -> None:
    progress = RunProgress(clock=_Clock())
    progress.observe([a_job(number) for number in range(100)])

    assert progress.summary().eta_s is None


def test_a_new_run_begins_when_the_queue_was_empty() -> None:
    progress = RunProgress(clock=_Clock())
    progress.observe([a_job(1), a_job(2)])
    progress.observe([a_job(1, JobState.COMPLETED), a_job(2, JobState.COMPLETED)])
    assert progress.summary() == RunSummary(total=2, done=2, failed=0, fraction=1.0)

    progress.observe([a_job(3)])

    assert progress.summary() == RunSummary(total=1, done=0, failed=0, fraction=0.0)


def test_jobs_that_ended_before_the_window_opened_do_not_count() -> None:
    progress = RunProgress(clock=_Clock())

    progress.observe([a_job(1, JobState.COMPLETED), a_job(2, JobState.FAILED)])

    assert progress.summary() == RunSummary()
