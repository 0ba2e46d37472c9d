import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QBuffer, QIODevice
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication

from desktop.state.bridge import Bridge
from desktop.state.notice import Notice
from desktop.state.session import Session
from desktop.views import DevelopRequest, EngineView, JobPreview
from shared.errors import UsageError
from shared.jobs.state import JobState
from tests.desktop.window import FINDER, ScriptedCore, a_job, a_picture, a_preset

_BUILTIN = EngineView(name="builtin", reachable=True, detail="")


@pytest.fixture
def core() -> ScriptedCore:
    return ScriptedCore(
        presets_there=(a_preset(),), engines_there=(_BUILTIN,), jobs_there=(a_job(2), a_job(1))
    )


@pytest.fixture
async def bridge(session: Session, core: ScriptedCore) -> AsyncIterator[Bridge]:
    bridge = Bridge(core=core, session=session, describe=lambda error: f"unexpected {error}")
    await bridge.open(default_out=Path("/pictures/out"), finder=FINDER)
    yield bridge
    await bridge.aclose()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  # Qt is asked too
            await asyncio.sleep(0)


def _notices(session: Session) -> list[Notice]:
    seen: list[Notice] = []
    session.noticed.connect(seen.append)
    return seen


async def test_opens_with_what_the_core_holds(session: Session, bridge: Bridge) -> None:
    assert session.ready
    assert session.preset == a_preset()
    await _until(lambda: session.engines == (_BUILTIN,))
    assert [job.id for job in session.jobs.jobs()] == ["job-2", "job-1"]
    assert session.out_folder == Path("/pictures/out")


async def test_shows_the_presets_before_any_server_has_answered(session: Session, core: ScriptedCore) -> None:
    core.answers = asyncio.Event()
    core.shelf_there = (a_preset(unavailable="one moment"),)
    bridge = Bridge(core=core, session=session, describe=str)
    async with asyncio.timeout(60):
        await bridge.open(default_out=Path("/pictures/out"), finder=FINDER)

    assert session.preset is not None
    assert session.preset.unavailable == "one moment"
    core.answers.set()
    await _until(lambda: session.preset is not None and session.preset.unavailable is None)
    assert session.engines == (_BUILTIN,)
    await bridge.aclose()


async def test_many_updates_become_one_change(session: Session, core: ScriptedCore, bridge: Bridge) -> None:
    batches: list[object] = []
    session.progress_changed.connect(lambda: batches.append(None))

    for step in range(1000):
        core.tell(a_job(1, JobState.PROCESSING, fraction=step / 1000))
    assert batches == []
    bridge.flush()

    assert len(batches) == 1
    found = session.jobs.find("job-1")
    assert found is not None
    assert found.fraction == 0.999


async def test_the_frame_timer_delivers_by_itself(
    session: Session, core: ScriptedCore, bridge: Bridge, qapp: QApplication
) -> None:
    core.tell(a_job(1, JobState.SAVING))

    def shown() -> bool:
        qapp.processEvents()
        job = session.jobs.find("job-1")
        return job is not None and job.state is JobState.SAVING

    await _until(shown)


async def test_previews_are_decoded_and_broken_ones_left_out(
    session: Session, core: ScriptedCore, bridge: Bridge
) -> None:
    core.tell(a_job(1, JobState.PROCESSING))
    core.tell(JobPreview(job_id="job-1", media_type="image/jpeg", data=_jpeg()))
    core.tell(JobPreview(job_id="job-2", media_type="image/jpeg", data=b"no picture"))
    bridge.flush()

    picture = session.jobs.preview("job-1")
    assert picture is not None
    assert picture.width() == 16
    assert session.jobs.preview("job-2") is None


async def test_develops_what_was_chosen(
    session: Session, core: ScriptedCore, bridge: Bridge, tmp_path: Path, qapp: QApplication
) -> None:
    one = a_picture(tmp_path / "one.png")
    await _choose(session, one, qapp)
    session.form.set("glow", 70)
    session.choose_engine("builtin")
    session.choose_out_folder(tmp_path / "out")

    session.develop()
    assert not session.can_develop()
    await _until(lambda: not session.developing)

    assert core.asked == [
        DevelopRequest(
            paths=(one,), preset_id="glow", values={"glow": 70}, out=tmp_path / "out", engine="builtin"
        )
    ]
    assert session.sources.files == ()
    assert session.spotlight.subject is not None
    assert session.spotlight.subject.job == a_job(1)


async def test_a_refusal_is_told_and_the_choice_stays(
    session: Session, core: ScriptedCore, bridge: Bridge, tmp_path: Path, qapp: QApplication
) -> None:
    await _choose(session, a_picture(tmp_path / "one.png"), qapp)
    core.refusal = UsageError("Glow must lie between 0 and 100, not 400")
    told = _notices(session)

    session.develop()
    await _until(lambda: bool(told))

    assert told == [Notice("Glow must lie between 0 and 100, not 400", trouble=True)]
    assert session.can_develop()


async def test_an_unexpected_error_is_described_and_the_window_goes_on(
    session: Session, core: ScriptedCore, bridge: Bridge
) -> None:
    core.refusal = RuntimeError("boom")
    told = _notices(session)

    session.cancel_wanted.emit("job-1")
    await _until(lambda: bool(told))
    session.retry_wanted.emit("job-2")
    await _until(lambda: len(core.asked) == 2)

    assert told == [Notice("unexpected boom", trouble=True)]
    assert core.asked == [("cancel", "job-1"), ("retry", "job-2")]


async def test_asks_again_which_engines_answer(session: Session, core: ScriptedCore, bridge: Bridge) -> None:
    comfy = EngineView(name="comfy", reachable=True, detail="")
    core.engines_there = (_BUILTIN, comfy)

    session.refresh_wanted.emit()
    await _until(lambda: len(session.engines) == 2)

    assert session.engines == (_BUILTIN, comfy)


async def test_closing_delivers_what_is_pending_and_listens_no_more(
    session: Session, core: ScriptedCore
) -> None:
    bridge = Bridge(core=core, session=session, describe=str)
    await bridge.open(default_out=Path("/pictures/out"), finder=FINDER)
    core.tell(a_job(1, JobState.CANCELLED))

    await bridge.aclose()

    found = session.jobs.find("job-1")
    assert found is not None
    assert found.state is JobState.CANCELLED
    assert core.listeners == []


async def _choose(session: Session, path: Path, application: QApplication) -> None:
    session.sources.add([path])

    def chosen() -> bool:
        application.processEvents()
        return bool(session.sources.files)

    await _until(chosen)


def _jpeg() -> bytes:
    picture = QImage(16, 12, QImage.Format.Format_RGB32)
    picture.fill(0)
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    assert picture.save(buffer, "JPEG")
    return bytes(buffer.data().data())
