"""A hot folder of pictures that go along with another one by name."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from desktop.jobs.bell import Bell
from desktop.jobs.queue import JobQueue
from desktop.store.database import Database
from desktop.store.holder import Holder
from desktop.store.job import Job
from desktop.watching.notices import NoticeKind
from desktop.watching.settle import Patience
from desktop.watching.tally import Tally
from shared.jobs.state import JobState
from tests.desktop.watching.bench import Bench, finish_jobs, png, until
from tests.support.paired_preset import make_paired_preset

_SHORT = Patience(undecodable_s=0.3, writer_s=0.05, quiet_local_s=0.2)


@pytest.fixture
async def bench(tmp_path: Path, optional: bool) -> AsyncIterator[Bench]:
    (tmp_path / "source").mkdir()
    preset = make_paired_preset(tmp_path / "presets", optional=optional)
    async with AsyncExitStack() as stack:
        holder = stack.enter_context(Holder(tmp_path / "holders"))
        database = await stack.enter_async_context(Database(tmp_path / "journal.sqlite3"))
        queue = JobQueue(database=database, holder=holder, bell=Bell())
        yield Bench(tmp_path, preset, database, queue)


@pytest.fixture
def optional() -> bool:
    return False


def _names(job: Job) -> list[str]:
    return [item.name for item in job.order.inputs]


def _waits(bench: Bench) -> list[str]:
    return [notice.message for notice in bench.notices if notice.kind is NoticeKind.WAITING]


async def test_a_picture_waits_for_its_partner_and_says_so(bench: Bench) -> None:
    async with bench.watching():
        bench.put("sub/a.png", png(1))
        await until(lambda: bool(_waits(bench)))
        bench.put("sub/a_mask.jpg", png(2))
        [job] = await bench.until_jobs(lambda jobs: len(jobs) == 1)

    assert _waits(bench) == ["sub/a.png waits for its Mask: put a picture named a_mask beside it"]
    assert [(item.slot, item.name) for item in job.order.inputs] == [
        ("photo", "a.png"),
        ("mask", "a_mask.jpg"),
    ]
    assert str(job.order.relative_path) == "sub/a.png"


async def test_a_partner_alone_starts_nothing(bench: Bench) -> None:
    async with bench.watching() as watch:
        bench.put("a_mask.png", png(2))
        bench.put("b_mask.png", png(3))
        bench.put("b.png", png(4))
        await bench.until_jobs(lambda jobs: len(jobs) == 1)
        await until(lambda: watch.is_idle)

    assert await bench.submitted() == ["b.png"]
    assert _waits(bench) == []


async def test_a_partner_is_waited_for_while_it_is_written(bench: Bench) -> None:
    content = png(2, size=200)
    bench.put("a.png", png(1))
    async with bench.watching():
        with (bench.source / "a_mask.png").open("wb") as file:
            for start in range(0, len(content), 40):
                file.write(content[start : start + 40])
                file.flush()
            bench.put("other_mask.png", png(3))
            bench.put("other.png", png(4))
            await bench.until_jobs(lambda jobs: len(jobs) == 1)
        await bench.until_jobs(lambda jobs: len(jobs) == 2)

    jobs = await bench.jobs()
    assert await bench.submitted() == ["other.png", "a.png"]
    assert jobs[1].order.inputs[1].bytes == len(content)


async def test_a_changed_partner_is_a_new_version_and_an_equal_one_is_not(bench: Bench) -> None:
    bench.put("a.png", png(1))
    mask = bench.put("a_mask.png", png(2))
    async with bench.watching():
        await bench.until_jobs(lambda jobs: len(jobs) == 1)
    await bench.complete_all()
    async with bench.watching() as watch:
        mask.write_bytes(png(2))
        os.utime(mask, (1, 1))
        bench.put("b_mask.png", png(5))
        bench.put("b.png", png(6))
        await bench.until_jobs(lambda jobs: len(jobs) == 2)
        await until(lambda: watch.is_idle)
        await bench.complete_all()
        mask.write_bytes(png(3))
        jobs = await bench.until_jobs(lambda jobs: len(jobs) == 3)
    await bench.complete_all()
    mask.write_bytes(png(4))  # while nobody watches
    async with bench.watching():
        jobs = await bench.until_jobs(lambda jobs: len(jobs) == 4)

    assert await bench.submitted() == ["a.png", "b.png", "a.png", "a.png"]
    assert len({job.order.source_digest for job in jobs}) == 4
    assert len({job.order.ledger_key for job in jobs}) == 4


async def test_a_partner_changed_before_the_run_replaces_the_run(bench: Bench) -> None:
    bench.put("a.png", png(1))
    mask = bench.put("a_mask.png", png(2))
    async with bench.watching():
        await bench.until_jobs(lambda jobs: len(jobs) == 1)
        mask.write_bytes(png(3))
        jobs = await bench.until_jobs(lambda jobs: len(jobs) == 2 and jobs[0].cancel_requested)

    assert not jobs[1].cancel_requested


async def test_a_pair_that_was_done_is_left_alone_without_its_partner(bench: Bench) -> None:
    bench.put("a.png", png(1))
    mask = bench.put("a_mask.png", png(2))
    async with bench.opened() as watch:
        await finish_jobs(bench, watch_once=watch.run_once())
    mask.unlink()
    async with bench.opened() as watch:
        tally = await finish_jobs(bench, watch_once=watch.run_once())

    assert tally == Tally(done=1)
    assert len(await bench.jobs()) == 1


async def test_a_renamed_pair_runs_nothing(bench: Bench) -> None:
    photo = bench.put("a.png", png(1))
    mask = bench.put("a_mask.png", png(2))
    async with bench.opened() as watch:
        await finish_jobs(bench, watch_once=watch.run_once())
    photo.rename(bench.source / "b.png")
    mask.rename(bench.source / "b_mask.png")
    async with bench.opened() as watch:
        tally = await finish_jobs(bench, watch_once=watch.run_once())
    assert tally == Tally(done=1)
    assert len(await bench.jobs()) == 1

    (bench.source / "b_mask.png").rename(bench.source / "c.png")  # a mask becomes a picture
    bench.put("c_mask.png", png(3))
    async with bench.opened() as watch:
        await finish_jobs(bench, watch_once=watch.run_once())
    assert await bench.submitted() == ["a.png", "c.png"]


async def test_once_counts_a_picture_without_its_partner_as_waiting(bench: Bench) -> None:
    bench.put("a.png", png(1))
    bench.put("b.png", png(2))
    bench.put("b_mask.png", png(3))
    async with bench.opened() as watch:
        tally = await finish_jobs(bench, watch_once=watch.run_once())

    assert tally == Tally(done=1, waiting=1)
    assert len(_waits(bench)) == 1


async def test_a_partner_that_does_not_decode_goes_to_the_error_list(bench: Bench) -> None:
    bench.put("a.png", png(1))
    mask = bench.put("a_mask.png", png(2)[:40])
    async with bench.watching(patience=_SHORT):
        [failed] = await bench.until_jobs(lambda jobs: len(jobs) == 1)
        mask.write_bytes(png(2))
        jobs = await bench.until_jobs(lambda jobs: len(jobs) == 2)

    assert failed.error is not None
    assert failed.error.message.startswith("a_mask.png")
    assert [job.state for job in jobs] == [JobState.FAILED, JobState.QUEUED]


async def test_pairs_that_were_there_stay_untaken_until_one_of_them_changes(bench: Bench) -> None:
    bench.put("a.png", png(1))
    mask = bench.put("a_mask.png", png(2))
    async with bench.watching(new_only=True) as watch:
        bench.put("b.png", png(3))
        bench.put("b_mask.png", png(4))
        await bench.until_jobs(lambda jobs: len(jobs) == 1)
        await until(lambda: watch.is_idle)
        mask.write_bytes(png(5))
        await bench.until_jobs(lambda jobs: len(jobs) == 2)

    assert await bench.submitted() == ["b.png", "a.png"]


async def test_one_picture_under_two_masks_is_two_works(bench: Bench) -> None:
    for name, mask in (("a", 2), ("b", 3)):
        bench.put(f"{name}.png", png(1))
        bench.put(f"{name}_mask.png", png(mask))
    async with bench.watching():
        jobs = await bench.until_jobs(lambda jobs: len(jobs) == 2)

    assert len({job.order.source_digest for job in jobs}) == 2


@pytest.mark.parametrize("optional", [True])
async def test_an_optional_partner_is_waited_for_no_longer_than_a_file_settles(bench: Bench) -> None:
    bench.put("alone.png", png(1))
    async with bench.opened(patience=_SHORT) as watch:
        tally = await finish_jobs(bench, watch_once=watch.run_once())
    assert tally == Tally(done=1)

    long = Patience(undecodable_s=0.3, writer_s=0.05, quiet_local_s=20)
    async with bench.watching(patience=long):
        bench.put("a.png", png(2))
        bench.put("a_mask.png", png(3))
        bench.put("alone_mask.png", png(4))
        jobs = await bench.until_jobs(lambda jobs: len(jobs) == 3)

    assert sorted(_names(job) for job in jobs) == [
        ["a.png", "a_mask.png"],
        ["alone.png"],
        ["alone.png", "alone_mask.png"],
    ]
