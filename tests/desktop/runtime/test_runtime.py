"""The core, from request to files."""

import asyncio
import os
import time
from pathlib import Path

import pytest
from PIL import Image

from desktop.jobs.queue import JobChange, NotRetryable
from desktop.runtime import open_runtime
from desktop.settings import Settings
from desktop.store.job import Delivery, EngineChoice
from desktop.views import DevelopRequest, JobView
from shared.errors import UsageError
from shared.jobs.events import Completed, Failed
from shared.jobs.state import JobState, is_terminal
from tests.desktop.runtime.conftest import BOUND_S, Pictures, until
from tests.support.raw_file import write_dng


def _ends(changes: list[JobChange]) -> list[str]:
    return [type(change.event).__name__ for change in changes if isinstance(change.event, Completed | Failed)]


async def test_a_folder_is_developed_with_its_subfolders_and_one_bad_file_stops_nobody(
    settings: Settings, pictures: Pictures
) -> None:
    pictures.add("a.png")
    pictures.add("deep/er/b.jpg")
    pictures.add("deep/c.webp")
    (pictures.folder / "page.png").write_text("<!DOCTYPE html><html>Sign in</html>")
    (pictures.folder / "empty.jpg").touch()
    (pictures.folder / "cut.png").write_bytes((pictures.folder / "a.png").read_bytes()[:-30])
    (pictures.folder / "notes.txt").write_text("not a picture")
    (pictures.folder / ".hidden.png").write_bytes(b"")
    events: list[JobChange] = []
    async with open_runtime(settings) as runtime:
        runtime.queue.subscribe(events.append)
        ids = await runtime.develop(DevelopRequest(paths=(pictures.folder,), preset_id="noir"))
        jobs = [await until(runtime, job_id, lambda job: is_terminal(job.state)) for job_id in ids]
        async with asyncio.timeout(60):
            while len(_ends(events)) < len(ids):  # noqa: ASYNC110 - an end is told once it is cleared up
                await asyncio.sleep(0.01)

    states = {job.order.source_name: job.state for job in jobs}
    done, failed = JobState.COMPLETED, JobState.FAILED
    bad = dict.fromkeys(("page.png", "empty.jpg", "cut.png"), failed)
    assert states == {"a.png": done, "b.jpg": done, "c.webp": done} | bad
    messages = {job.order.source_name: job.error.message for job in jobs if job.error}
    assert messages == {
        "page.png": "page.png is a web page, not a picture: download the picture itself",
        "cut.png": "cut.png is damaged or incomplete: copy it again from where it came",
        "empty.jpg": "empty.jpg is empty: copy it again from where it came",
    }
    out = settings.output_dir
    made = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert made == ["a.png", "deep/c.webp", "deep/er/b.jpg"]
    for name, kind in (("a.png", "PNG"), ("deep/c.webp", "WEBP"), ("deep/er/b.jpg", "JPEG")):
        with Image.open(out / name) as picture:
            assert (picture.format, picture.size) == (kind, (48, 32))
    assert sorted(_ends(events)) == ["Completed"] * 3 + ["Failed"] * 3
    assert list((settings.paths.engine_state / "builtin" / "runs").iterdir()) == []


async def test_a_raw_file_is_developed(settings: Settings, pictures: Pictures) -> None:
    pytest.importorskip("rawpy")
    path = write_dng(pictures.folder / "a.NEF", 128, 96, (200, 90, 20))
    async with open_runtime(settings) as runtime:
        [job_id] = await runtime.develop(DevelopRequest(paths=(path,), preset_id="matte-film"))
        job = await until(runtime, job_id, lambda job: is_terminal(job.state))
    assert (job.state, job.error) == (JobState.COMPLETED, None)
    with Image.open(settings.output_dir / "a.jpg") as made:
        assert (made.format, made.size) == ("JPEG", (128, 96))


async def test_a_job_that_failed_is_retried_alone_once_the_file_is_mended(
    settings: Settings, pictures: Pictures
) -> None:
    path = pictures.folder / "a.png"
    path.touch()
    async with open_runtime(settings) as runtime:
        [job_id] = await runtime.develop(DevelopRequest(paths=(path,), preset_id="noir"))
        await until(runtime, job_id, lambda job: job.state is JobState.FAILED)
        again = await runtime.retry(job_id)
        broken = await until(runtime, again, lambda job: is_terminal(job.state))
        assert broken.order.retry_of == job_id
        pictures.add("a.png")
        mended = await runtime.retry(again)
        done = await until(runtime, mended, lambda job: is_terminal(job.state))
        assert done.state is JobState.COMPLETED
        with pytest.raises(NotRetryable):
            await runtime.retry(mended)


async def test_a_file_changed_after_it_was_submitted_is_not_taken_for_the_old_one(
    settings: Settings, pictures: Pictures
) -> None:
    path = pictures.add("a.png")
    async with open_runtime(settings) as runtime:
        [new] = [
            new
            async for group in runtime.develop_jobs(
                (path,),
                preset_id="noir",
                values={},
                out_folder=settings.output_dir,
                engine=EngineChoice.AUTO,
                batch="batch",
            )
            for new in group
        ]
        pictures.add("a.png", shade=3)
        job_id = await runtime.queue.submit(new)
        job = await until(runtime, job_id, lambda job: is_terminal(job.state))
    assert job.error is not None
    assert job.error.code == "source_changed"


async def test_asking_again_in_the_window_makes_a_second_file_beside_the_first(
    settings: Settings, pictures: Pictures
) -> None:
    request = DevelopRequest(paths=(pictures.add("a.png"),), preset_id="noir")
    async with open_runtime(settings) as runtime:
        for _ in range(2):
            [job_id] = await runtime.develop(request)
            await until(runtime, job_id, lambda job: is_terminal(job.state))
    assert sorted(path.name for path in settings.output_dir.iterdir()) == ["a (2).png", "a.png"]


async def test_wrong_requests_are_refused_before_anything_is_journalled(
    settings: Settings, pictures: Pictures
) -> None:
    path = pictures.add("a.png")
    async with open_runtime(settings) as runtime:
        for request, named in (
            (DevelopRequest(paths=(path,), preset_id="nope"), "nope"),
            (DevelopRequest(paths=(path,), preset_id="noir", values={"bogus": 1}), "bogus"),
            (DevelopRequest(paths=(path,), preset_id="noir", values={"contrast": 1e9}), "ontrast"),
            (DevelopRequest(paths=(pictures.folder / "gone.png",), preset_id="noir"), "gone.png"),
        ):
            with pytest.raises(UsageError, match=named):
                await runtime.develop(request)
        assert await runtime.jobs() == ()


async def test_a_blocked_delivery_waits_and_is_made_by_a_later_process(
    settings: Settings, pictures: Pictures
) -> None:
    settings.output_dir.write_text("a file where the folder should be")
    path = pictures.add("a.png")
    async with open_runtime(settings) as runtime:
        [job_id] = await runtime.develop(DevelopRequest(paths=(path,), preset_id="noir"))
        job = await until(runtime, job_id, lambda job: is_terminal(job.state))
        assert (job.state, job.delivery) == (JobState.COMPLETED, Delivery.BLOCKED)
        assert job.delivery_reason is not None
        assert str(settings.output_dir) in job.delivery_reason
    [run] = (settings.paths.engine_state / "builtin" / "runs").iterdir()
    _age(run)  # old, and yet not to be swept away
    settings.output_dir.unlink()
    async with open_runtime(settings, adopt=True) as runtime:
        await until(runtime, job_id, lambda job: job.delivery is Delivery.DELIVERED and job.ticket is None)
    assert [path.name for path in settings.output_dir.iterdir()] == ["a.png"]


async def test_what_a_crash_left_of_runs_is_swept_away(settings: Settings) -> None:
    left = settings.paths.engine_state / "builtin" / "runs" / ".safelight-left"
    left.mkdir(parents=True)
    _age(left)
    async with open_runtime(settings), asyncio.timeout(60):
        while left.exists():  # noqa: ASYNC110 - swept beside the work
            await asyncio.sleep(0.01)


def _age(folder: Path) -> None:
    then = time.time() - 24 * 3600
    os.utime(folder, (then, then))


async def test_a_run_that_the_engine_lost_is_begun_again(settings: Settings, pictures: Pictures) -> None:
    settings.output_dir.write_text("a file where the folder should be")
    path = pictures.add("a.png")
    async with open_runtime(settings) as runtime:
        [job_id] = await runtime.develop(DevelopRequest(paths=(path,), preset_id="noir"))
        await until(runtime, job_id, lambda job: is_terminal(job.state))
        await runtime.database.write(
            lambda c: c.execute("UPDATE jobs SET state = 'processing' WHERE id = ?", (job_id,)).rowcount
        )
    for run in (settings.paths.engine_state / "builtin" / "runs").iterdir():
        run.rename(run.with_name("lost"))
    settings.output_dir.unlink()
    async with open_runtime(settings, adopt=True) as runtime:
        job = await until(
            runtime, job_id, lambda job: job.delivery is Delivery.DELIVERED and job.ticket is None
        )
        assert (job.state, job.attempt) == (JobState.COMPLETED, 2)
    assert [path.name for path in settings.output_dir.iterdir()] == ["a.png"]


async def test_a_job_is_cancelled_from_another_process(settings: Settings, pictures: Pictures) -> None:
    """Its engine does not answer, so it waits; the other process only leaves word in the journal."""
    path = pictures.add("a.png")
    seen: list[JobView] = []
    async with open_runtime(settings) as holder, open_runtime(settings) as other:
        holder.subscribe(lambda change: seen.append(change) if isinstance(change, JobView) else None)
        [job_id] = await holder.develop(DevelopRequest(paths=(path,), preset_id="portrait-pro"))
        await other.cancel(job_id)
        job = await until(holder, job_id, lambda job: is_terminal(job.state))
        assert job.state is JobState.CANCELLED
        async with asyncio.timeout(60):
            while not any(view.state is JobState.CANCELLED for view in seen):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_a_job_says_what_it_waits_for(settings: Settings, pictures: Pictures) -> None:
    seen: list[JobView] = []
    async with open_runtime(settings) as runtime:
        runtime.subscribe(lambda change: seen.append(change) if isinstance(change, JobView) else None)
        [job_id] = await runtime.develop(
            DevelopRequest(paths=(pictures.add("a.png"),), preset_id="noir", engine="comfy")
        )
        async with asyncio.timeout(BOUND_S):
            while not any(view.waits_for for view in seen):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        [shown] = await runtime.jobs()
        assert shown.waits_for == (
            "no ComfyUI server answers at http://127.0.0.1:9: start it, or check the address"
        )
        await runtime.cancel(job_id)
        await until(runtime, job_id, lambda job: is_terminal(job.state))
        [shown] = await runtime.jobs()
        assert shown.waits_for is None


async def test_a_running_job_is_cancelled(settings: Settings, pictures: Pictures, tmp_path: Path) -> None:
    big = tmp_path / "big.png"
    Image.effect_noise((4000, 3000), 80).convert("RGB").save(big, compress_level=1)
    async with open_runtime(settings) as runtime:
        [job_id] = await runtime.develop(DevelopRequest(paths=(big,), preset_id="product-glow"))
        await until(runtime, job_id, lambda job: job.state is JobState.PROCESSING)
        await runtime.cancel(job_id)
        job = await until(runtime, job_id, lambda job: is_terminal(job.state) and job.ticket is None)
        assert job.state is JobState.CANCELLED
        await runtime.cancel(job_id)  # once more is no error
    assert not settings.output_dir.exists()


async def test_the_gallery_says_why_a_preset_cannot_run(settings: Settings) -> None:
    async with open_runtime(settings) as runtime:
        shelf = {preset.id: preset for preset in await runtime.shelf()}
        presets = {preset.id: preset for preset in await runtime.presets()}
        engines = {engine.name: engine.reachable for engine in await runtime.engines()}
    assert list(shelf) == list(presets)
    assert shelf["noir"].unavailable is None
    assert "still asking" in (shelf["portrait-pro"].unavailable or "")
    assert presets["noir"].instant
    assert presets["noir"].unavailable is None
    assert presets["portrait-pro"].unavailable is not None
    assert engines == {"builtin": True, "comfy": False}
