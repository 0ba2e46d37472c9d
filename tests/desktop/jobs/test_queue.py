"""The queue: keys, orphans, refusals."""

import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path, PurePath

import pytest

from desktop.jobs.bell import Bell
from desktop.jobs.queue import JobChange, JobQueue, NewJob, NotRetryable
from desktop.store import jobs as rows
from desktop.store.database import Database
from desktop.store.holder import Holder
from desktop.store.job import JobError, PresetRecipe
from desktop.store.jobs import UnknownJob
from desktop.store.journal_file import JournalUnwritable
from shared.jobs.events import Queued
from shared.jobs.state import IllegalTransition, JobState

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def new_job(key: str, **changes: object) -> NewJob:
    order = {
        "key": key,
        "batch": "batch",
        "recipe": PresetRecipe(preset_id="noir", version="1.0.0", digest="f" * 64, values={"contrast": 10}),
        "inputs": (),
        "out_folder": Path("/out"),
        "relative_path": PurePath("a/b.jpg"),
        "source": Path("/in/a/b.jpg"),
        "source_name": "b.jpg",
        "source_digest": "d" * 64,
    }
    return NewJob(**(order | changes))  # type: ignore[arg-type]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database(tmp_path / "journal.sqlite3") as opened:
        yield opened


def _queue(database: Database, holder: Holder) -> JobQueue:
    return JobQueue(database=database, holder=holder, bell=Bell())


async def test_a_known_key_is_the_same_job(database: Database, tmp_path: Path) -> None:
    told: list[JobChange] = []
    with Holder(tmp_path / "holders") as holder:
        queue = _queue(database, holder)
        queue.subscribe(told.append)
        first = await queue.submit(new_job("k"))
        assert await queue.submit(new_job("k")) == first
        assert await queue.submit(new_job("other")) != first
    assert [type(change.event) for change in told] == [Queued, Queued]
    assert (await queue.get(first)).order == new_job("k")


async def test_new_jobs_are_handed_to_the_runner_and_known_ones_are_not(
    database: Database, tmp_path: Path
) -> None:
    bell = Bell()
    with Holder(tmp_path / "holders") as holder:
        queue = JobQueue(database=database, holder=holder, bell=bell)
        first = await queue.submit_all([new_job("a"), new_job("b")])
        await queue.submit(new_job("a"))
        call = bell.answer()
        assert tuple(job.id for job in call.jobs) == first
        assert call.jobs[0] == await queue.get(first[0])
        assert not call.look
        await queue.cancel(first[0])
        call = bell.answer()
        assert (call.look, call.jobs) == (True, ())


async def test_a_first_job_is_handed_over_before_it_is_certain_to_be_journalled(
    database: Database, tmp_path: Path
) -> None:
    bell = Bell()
    with Holder(tmp_path / "holders") as holder:
        queue = JobQueue(database=database, holder=holder, bell=bell)
        job_id = await queue.submit_first(new_job("a"))
        first = bell.answer()
        await database.write(_defer_a_fault)
        with pytest.raises(JournalUnwritable):
            await queue.submit_first(new_job("b"), also=_fault)
        second = bell.answer()

    assert [job.id for job in first.jobs] == [job_id]
    assert await first.journalling[job_id]
    assert [job.order.key for job in second.jobs] == ["b"]
    assert [await journalled for journalled in second.journalling.values()] == [False]


def _defer_a_fault(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
    connection.execute("CREATE TABLE child (parent REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")


def _fault(connection: sqlite3.Connection, _: str) -> None:
    """Found when the transaction is committed."""
    connection.execute("INSERT INTO child VALUES (1)")


async def test_a_failed_job_counts_no_longer_where_that_is_asked(database: Database, tmp_path: Path) -> None:
    with Holder(tmp_path / "holders") as holder:
        queue = _queue(database, holder)
        first = await queue.refuse(new_job("k"), JobError("broken_media", "b.jpg is empty", False))
        assert await queue.submit(new_job("k")) == first
        [again] = await queue.submit_all([new_job("k")], renew=True)
        assert again != first


async def test_orphans_are_adopted_once_their_process_is_dead(database: Database, tmp_path: Path) -> None:
    holders = tmp_path / "holders"
    with Holder(holders) as dead:
        job_id = await _queue(database, dead).submit(new_job("k"))
        with Holder(holders) as living:
            assert await _queue(database, living).adopt() == 0
    with Holder(holders) as heir:
        queue = _queue(database, heir)
        assert await queue.adopt(batch="another") == 0
        assert await queue.adopt(batch="batch") == 1
        assert (await queue.get(job_id)).holder == heir.name


async def test_only_what_ended_badly_is_retried(database: Database, tmp_path: Path) -> None:
    with Holder(tmp_path / "holders") as holder:
        queue = _queue(database, holder)
        waiting = await queue.submit(new_job("k"))
        with pytest.raises(NotRetryable, match="cancel it first"):
            await queue.retry(waiting)
        failed = await queue.refuse(new_job("bad"), JobError("broken_media", "b.jpg is empty", False))
        again = await queue.get(await queue.retry(failed))
        assert (again.order.retry_of, again.state) == (failed, JobState.QUEUED)


async def test_jobs_are_found_by_the_beginning_of_their_id(database: Database, tmp_path: Path) -> None:
    with Holder(tmp_path / "holders") as holder:
        queue = _queue(database, holder)
        job_id = await queue.submit(new_job("k"))
        assert (await queue.find(job_id[:8])).id == job_id
        for wrong in ("", "zzz", "\udcff"):
            with pytest.raises(UnknownJob):
                await queue.find(wrong)


async def test_the_journal_knows_no_illegal_step(database: Database, tmp_path: Path) -> None:
    with Holder(tmp_path / "holders") as holder:
        job_id = await _queue(database, holder).submit(new_job("k"))
        await database.write(lambda c: rows.cancel_job(c, job_id, now=NOW))
        with pytest.raises(IllegalTransition):
            await database.write(lambda c: rows.begin_saving(c, job_id, ()))


async def test_the_runners_questions_are_answered_by_an_index(database: Database) -> None:
    def plan(connection: object) -> str:
        found = connection.execute(  # type: ignore[attr-defined]
            "EXPLAIN QUERY PLAN SELECT * FROM jobs WHERE holder = ? AND seq > ? "
            "AND state IN ('queued', 'processing', 'saving') ORDER BY seq LIMIT ?",
            ("h", 0, 8),
        )
        return " ".join(row["detail"] for row in found)

    said = await database.read(plan)
    assert "jobs_open" in said
    assert "TEMP B-TREE" not in said
