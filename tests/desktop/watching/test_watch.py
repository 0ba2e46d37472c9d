"""What a hot folder makes of files that come, change, move and go."""

import asyncio
import contextlib
import os
import shutil
import time
import unicodedata
from pathlib import Path

import pytest

from desktop.watching.guards import FolderBusy
from desktop.watching.notices import NoticeKind
from desktop.watching.sleep import Moment
from desktop.watching.tally import Tally
from shared.jobs.state import JobState
from tests.desktop.watching.bench import Bench, finish_jobs, png, until

MANY = 5000 if os.environ.get("SWEEP") else 1000


async def test_what_is_there_and_what_arrives_is_submitted_once(bench: Bench) -> None:
    bench.put("sub/there.png", png(1))
    async with bench.watching():
        bench.put("arrives.png", png(2))
        bench.put("new/deep/arrives.png", png(3))
        await bench.until_jobs(lambda jobs: len(jobs) == 3)

    async with bench.watching():
        pass
    assert sorted(await bench.submitted()) == ["arrives.png", "new/deep/arrives.png", "sub/there.png"]


async def test_only_new_files_are_taken_when_asked(bench: Bench) -> None:
    bench.put("old.png", png(1))
    async with bench.watching(new_only=True):
        bench.put("new.png", png(2))
        await bench.until_jobs(lambda jobs: len(jobs) == 1)
        (bench.source / "old.png").rename(bench.source / "renamed.png")
        bench.put("last.png", png(3))
        await bench.until_jobs(lambda jobs: len(jobs) == 2)

    bench.put("while away.png", png(4))
    async with bench.watching(new_only=True):
        pass
    assert await bench.submitted() == ["new.png", "last.png", "while away.png"]


async def test_a_file_is_not_taken_while_it_is_written(bench: Bench) -> None:
    content = png(1, size=200)
    async with bench.watching():
        with (bench.source / "slow.png").open("wb") as file:
            for start in range(0, len(content), 40):
                file.write(content[start : start + 40])
                file.flush()
            bench.put("other.png", png(2))
            await bench.until_jobs(lambda jobs: len(jobs) == 1)
        await bench.until_jobs(lambda jobs: len(jobs) == 2)

    assert await bench.submitted() == ["other.png", "slow.png"]


async def test_a_file_written_in_pieces_is_taken_when_it_is_whole(bench: Bench) -> None:
    content = png(1, size=300)
    async with bench.watching():
        for start in range(0, len(content), 200):
            with (bench.source / "pieces.png").open("ab") as file:
                file.write(content[start : start + 200])
        [job] = await bench.until_jobs(lambda jobs: len(jobs) == 1)

    assert job.state is JobState.QUEUED
    assert job.order.inputs[0].bytes == len(content)


async def test_temporary_names_hidden_files_and_others_are_left_alone(bench: Bench) -> None:
    for name in (".a.png.Xy12", "b.png.crdownload", "~$c.png", ".hidden/d.png", "notes.txt", "e.png.part"):
        bench.put(name, png(1))
    async with bench.watching():
        (bench.source / ".a.png.Xy12").rename(bench.source / "a.png")
        await bench.until_jobs(lambda jobs: len(jobs) == 1)

    assert await bench.submitted() == ["a.png"]
    skipped = [notice.message for notice in bench.notices if notice.kind is NoticeKind.SKIPPED]
    assert skipped == ["left alone: 1 hidden, 1 not a picture, 3 temporary"]


async def test_the_same_content_again_runs_nothing_and_new_content_does(bench: Bench) -> None:
    path = bench.put("a.png", png(1))
    async with bench.watching():
        await bench.until_jobs(lambda jobs: len(jobs) == 1)
        path.write_bytes(png(1))
        os.utime(path, (1, 1))
        path.chmod(0o600)
        with contextlib.suppress(OSError, AttributeError):  # not every disk has such attributes
            os.setxattr(path, "user.note", b"seen")
        path.write_bytes(png(2))
        await bench.until_jobs(lambda jobs: len(jobs) == 2)
        path.write_bytes(png(1))
        bench.put("last.png", png(3))
        await bench.until_jobs(lambda jobs: len(jobs) >= 3)

    assert await bench.submitted() == ["a.png", "a.png", "last.png"]


async def test_a_rename_runs_nothing_and_a_copy_is_another_file(bench: Bench) -> None:
    path = bench.put("a.png", png(1))
    async with bench.opened() as watch:
        await finish_jobs(bench, watch_once=watch.run_once())
    async with bench.watching() as watch:
        path.rename(bench.source / "b.png")
        (bench.source / "b.png").rename(bench.source / "B.png")
        shutil.copy(bench.source / "B.png", bench.source / "copy.png")
        await bench.until_jobs(lambda jobs: len(jobs) == 2)
        await until(lambda: watch.is_idle)

    assert await bench.submitted() == ["a.png", "copy.png"]


async def test_a_rename_between_two_watches_runs_nothing(bench: Bench) -> None:
    for number in range(30):
        bench.put(f"in/{number}.png", png(number))
    async with bench.opened() as watch:
        await finish_jobs(bench, watch_once=watch.run_once())
    (bench.source / "in").rename(bench.source / "out of it")
    async with bench.watching():
        pass

    assert len(await bench.jobs()) == 30


async def test_a_rename_before_the_first_scan_runs_nothing(bench: Bench) -> None:
    path = bench.put("a.png", png(1))
    async with bench.opened() as watch:
        await finish_jobs(bench, watch_once=watch.run_once())
    async with bench.opened() as watch:
        path.rename(bench.source / "b.png")
        bench.put("last.png", png(2))
        await bench.until_jobs(lambda jobs: len(jobs) >= 2)
        await finish_jobs(bench, watch_once=watch.run_once())

    assert await bench.submitted() == ["a.png", "last.png"]


async def test_a_change_before_the_run_replaces_the_run(bench: Bench) -> None:
    path = bench.put("a.png", png(1))
    async with bench.watching():
        [first] = await bench.until_jobs(lambda jobs: len(jobs) == 1)
        path.write_bytes(png(2))
        jobs = await bench.until_jobs(lambda jobs: len(jobs) == 2 and jobs[0].cancel_requested)

    assert [job.id for job in jobs if job.cancel_requested] == [first.id]


async def test_a_file_deleted_while_queued_is_called_off(bench: Bench) -> None:
    path = bench.put("a.png", png(1))
    async with bench.watching():
        await bench.until_jobs(lambda jobs: len(jobs) == 1)
        path.unlink()
        await bench.until_jobs(lambda jobs: jobs[0].cancel_requested)


async def test_a_broken_file_goes_to_the_error_list_and_is_taken_up_when_it_changes(bench: Bench) -> None:
    async with bench.watching():
        path = bench.put("broken.png", png(1)[:40])
        bench.put("good.png", png(2))
        await bench.until_jobs(lambda jobs: len(jobs) == 2)
        path.write_bytes(png(1))
        jobs = await bench.until_jobs(lambda jobs: len(jobs) == 3)

    good = [job.state for job in jobs if str(job.order.relative_path) == "good.png"]
    failed, mended = [job for job in jobs if str(job.order.relative_path) == "broken.png"]
    assert (good, failed.state, mended.state) == ([JobState.QUEUED], JobState.FAILED, JobState.QUEUED)
    assert failed.error is not None
    assert failed.error.code == "broken_media"


async def test_a_broken_file_can_be_retried_alone(bench: Bench) -> None:
    bench.put("broken.png", b"")
    async with bench.watching():
        [failed] = await bench.until_jobs(lambda jobs: len(jobs) == 1)
        retried = await bench.queue.get(await bench.queue.retry(failed.id))

    assert retried.order.retry_of == failed.id
    assert retried.order.ledger_key == failed.order.ledger_key


async def test_odd_things_with_a_pictures_name_hang_nothing(bench: Bench, tmp_path: Path) -> None:
    os.mkfifo(bench.source / "pipe.png")
    (bench.source / "link.png").symlink_to(tmp_path / "nothing.png")
    async with bench.watching():
        os.mkfifo(bench.source / "late.png")
        bench.put("good.png", png(1))
        await bench.until_jobs(lambda jobs: len(jobs) == 1)

    assert await bench.submitted() == ["good.png"]


@pytest.mark.parametrize(
    "name",
    [
        "📷.png",
        "e\u0301.png",
        "שלום.png",
        "n" * 251 + ".png",
        "con.png",
        "dot..png",
        os.fsdecode(b"bad\xff.png"),
    ],
)
async def test_names_of_every_kind_are_taken_once(bench: Bench, name: str) -> None:
    bench.put(name, png(1))
    async with bench.watching():
        pass
    async with bench.watching():
        pass

    assert await bench.submitted() == [name]


async def test_two_spellings_of_one_name_are_two_files_if_their_content_differs(bench: Bench) -> None:
    names = [unicodedata.normalize(form, "é.png") for form in ("NFC", "NFD")]
    for number, name in enumerate(names):
        bench.put(name, png(number))
    async with bench.watching():
        pass

    assert sorted(await bench.submitted()) == sorted(names)


async def test_a_folder_of_many_moved_in_and_renamed_is_taken_once(bench: Bench, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    for number in range(MANY):
        path = outside / f"{number % 20}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(number))
    async with bench.watching() as watch:
        outside.rename(bench.source / "moved")
        await bench.until_jobs(lambda jobs: len(jobs) >= MANY)
        await bench.complete_all()
        (bench.source / "moved").rename(bench.source / "again")
        bench.put("last.png", png(MANY))
        await bench.until_jobs(lambda jobs: len(jobs) > MANY)
        await until(lambda: watch.is_idle)

    assert len(await bench.jobs()) == MANY + 1


async def test_one_folder_has_one_holder(bench: Bench) -> None:
    async with bench.opened():
        with pytest.raises(FolderBusy, match=r"watched by process \d+"):
            async with bench.opened():
                pass
    async with bench.opened():
        pass


async def test_a_missing_source_pauses_and_forgets_nothing(bench: Bench) -> None:
    bench.put("a.png", png(1))
    away = bench.root / "away"
    async with bench.watching():
        await bench.until_jobs(lambda jobs: len(jobs) == 1)
        bench.source.rename(away)
        await until(lambda: NoticeKind.PAUSED in {notice.kind for notice in bench.notices})
        bench.source.mkdir()
        bench.put("stranger.png", png(9))
        bench.source.rename(bench.root / "other")
        away.rename(bench.source)
        await until(lambda: NoticeKind.RESUMED in {notice.kind for notice in bench.notices})
        bench.put("b.png", png(2))
        jobs = await bench.until_jobs(lambda jobs: len(jobs) == 2)

    assert [str(job.order.relative_path) for job in jobs] == ["a.png", "b.png"]
    assert not any(job.cancel_requested for job in jobs)


async def test_an_empty_source_may_be_made_anew(bench: Bench) -> None:
    async with bench.watching():
        bench.source.rmdir()
        await until(lambda: NoticeKind.PAUSED in {notice.kind for notice in bench.notices})
        bench.source.mkdir()
        await until(lambda: NoticeKind.RESUMED in {notice.kind for notice in bench.notices})
        bench.put("a.png", png(1))
        await bench.until_jobs(lambda jobs: len(jobs) == 1)


async def test_a_disk_with_new_numbers_is_known_by_its_files_and_remembered(bench: Bench) -> None:
    path = bench.put("a.png", png(1))
    async with bench.opened() as watch:
        await finish_jobs(bench, watch_once=watch.run_once())
    bench.source.rename(bench.root / "old")
    bench.source.mkdir()
    async with bench.watching():
        bench.put("stranger.png", png(9))
        await until(lambda: bench.notices[-1].kind is NoticeKind.PAUSED)
        assert "--accept-new-source" in bench.notices[-1].message
        shutil.copy2(bench.root / "old/a.png", path)
        await until(lambda: bench.notices[-1].kind is NoticeKind.RESUMED)
        await bench.until_jobs(lambda jobs: len(jobs) == 2)
    await bench.complete_all()
    path.unlink()
    bench.put("stranger.png", png(10))
    async with bench.watching():
        await bench.until_jobs(lambda jobs: len(jobs) == 3)


async def test_after_a_sleep_of_the_machine_it_looks_again(bench: Bench) -> None:
    hours = [0.0]

    def now() -> Moment:
        here = Moment.now()
        return Moment(here.wall + hours[0] * 3600, here.monotonic)

    async with bench.watching(now=now) as watch:
        await asyncio.to_thread(watch.source.unwatch)  # what came meanwhile was told to nobody
        bench.put("a.png", png(1))
        hours[0] = 8
        await bench.until_jobs(lambda jobs: len(jobs) == 1)


async def test_a_change_within_a_coarse_tick_of_the_clock_is_seen(bench: Bench) -> None:
    path = bench.put("a.png", png(1) + b"1")
    tick = time.time_ns() // 2_000_000_000 * 2_000_000_000
    os.utime(path, ns=(tick, tick))
    async with bench.opened() as watch:
        await finish_jobs(bench, watch_once=watch.run_once())
    before = path.stat()
    path.write_bytes(png(1) + b"2")
    os.utime(path, ns=(tick, tick))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    async with bench.opened() as watch:
        await finish_jobs(bench, watch_once=watch.run_once())

    assert await bench.submitted() == ["a.png", "a.png"]


async def test_values_changed_run_nothing_unless_asked(bench: Bench) -> None:
    bench.put("a.png", png(1))
    async with bench.watching():
        pass
    async with bench.watching():
        pass
    assert len(await bench.jobs()) == 1
    await bench.complete_all()

    async with bench.watching(again=True):
        pass
    async with bench.watching():
        pass
    assert len(await bench.jobs()) == 2


async def test_once_ends_with_a_tally(bench: Bench) -> None:
    bench.put("good.png", png(1))
    bench.put("broken.png", png(2)[:30])
    with (bench.source / "written.png").open("wb") as file:
        file.write(png(3))
        file.flush()
        async with bench.opened() as watch:
            tally = await finish_jobs(bench, watch_once=watch.run_once())

    assert tally == Tally(done=1, failed=1, waiting=1)


async def test_a_failed_file_stays_failed_under_another_name(bench: Bench) -> None:
    path = bench.put("broken.png", png(1)[:40])
    bench.put("good.png", png(2))
    async with bench.opened() as watch:
        await finish_jobs(bench, watch_once=watch.run_once())
    path.rename(bench.source / "renamed.png")
    async with bench.opened() as watch:
        tally = await finish_jobs(bench, watch_once=watch.run_once())

    assert tally == Tally(done=1, failed=1)
    assert len(await bench.jobs()) == 2
