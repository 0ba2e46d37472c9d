import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QMessageBox
from pytestqt.qtbot import QtBot
from qasync import QEventLoop

from desktop.app.program import bell_name, furnish, new_session, serve
from desktop.state.doorbell import Doorbell
from desktop.state.instance_lock import take_lock
from desktop.state.remembered import Remembered
from desktop.state.session import Session
from desktop.ui.desk import Desk
from desktop.ui.main_window import MainWindow
from desktop.ui.theme import apply_theme
from shared.jobs.state import JobState
from tests.desktop.window import a_picture

_HEAVY = {
    "asyncio", "pydantic", "httpx", "numpy", "PIL", "structlog", "watchdog", "keyring", "qasync", "sqlite3",
    "desktop.runtime", "desktop.settings", "desktop.store", "desktop.engines", "desktop.jobs",
    "desktop.state.bridge", "desktop.state.session", "desktop.ui.desk", "shared.presets.manifest",
    "PySide6.QtNetwork",
}  # fmt: skip

# Stands in for what comes after the first paint.
_FIRST_PAINT = """
import json, sys, types
def run_window(*_, **__):
    print(json.dumps(sorted(sys.modules)))
    return 0
after = types.ModuleType("desktop.app.program")
after.run_window = run_window
sys.modules["desktop.app.program"] = after
from desktop.app import run_app
sys.exit(run_app())
"""


def _start(code: str, data: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "SAFELIGHT_DATA_DIR": str(data), "QT_QPA_PLATFORM": "offscreen", **more},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_nothing_heavy_is_imported_before_the_window_is_painted(tmp_path: Path) -> None:
    ended = _start(_FIRST_PAINT, tmp_path)

    assert ended.returncode == 0, ended.stderr
    assert _HEAVY & set(json.loads(ended.stdout)) == set()


def test_a_second_start_without_an_answer_says_so(tmp_path: Path) -> None:
    lock = take_lock(tmp_path / "window.lock")
    assert lock is not None

    ended = _start("import sys; from desktop.app import run_app; sys.exit(run_app())", tmp_path)
    lock.unlock()

    assert ended.returncode == 3
    assert ended.stderr == "Safelight is open already but does not answer: close it, or wait a moment.\n"


def test_files_named_at_the_start_reach_the_window(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").touch()
    code = _FIRST_PAINT.replace("(*_, **__)", "(*_, paths, **__)")
    code = code.replace("sorted(sys.modules)", "[str(path) for path in paths]")
    code = code.replace("run_app()", "run_app([pathlib.Path('photo.jpg')])").replace(
        "json,", "json, pathlib,"
    )

    ended = _start(code, tmp_path)

    assert json.loads(ended.stdout) == ["photo.jpg"]


def test_a_second_start_hands_its_files_to_the_first(
    tmp_path: Path, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first holds the lock, and listens only after the second has rung: it is starting itself."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").touch()
    (tmp_path / "folder").mkdir()
    lock = take_lock(tmp_path / "data" / "window.lock")
    assert lock is not None
    second = subprocess.Popen(
        [sys.executable, "-m", "desktop", "photo.jpg", "folder"],
        env={
            **os.environ,
            "SAFELIGHT_DATA_DIR": str(tmp_path / "data"),
            "QT_QPA_PLATFORM": "offscreen",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
    )
    doorbell = Doorbell(name=bell_name(tmp_path / "data"))
    with qtbot.waitSignal(doorbell.rung, timeout=60_000) as rung:
        pass
    doorbell.close()
    lock.unlock()

    assert rung.args == [(tmp_path / "photo.jpg", tmp_path / "folder")]
    assert second.wait(60) == 0


def _in_window(
    folder: Path, application: QApplication, steps: Callable[[Session, Desk], Awaitable[None]]
) -> int:
    """Run the steps in a window on the real core; its exit code."""
    if not application.styleSheet():
        apply_theme(application)
    session = new_session(folder, Remembered(file=folder / "window.ini"))
    window = MainWindow(session.remembered)
    desk = furnish(window, session)
    window.show()
    loop = QEventLoop(application)

    async def live() -> int:
        served = asyncio.ensure_future(serve(session, window))
        try:
            await steps(session, desk)
        except BaseException:
            window.closing.emit()  # without the question, which nobody would answer
            await served
            raise
        QTimer.singleShot(0, window.close)  # as a user does: a question inside a task would stop the others
        return await served

    with loop:
        code: int = loop.run_until_complete(live())
    session.close()
    window.deleteLater()
    return code


async def _until(condition: Callable[[], bool], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # models of Qt have no events to wait for
            await asyncio.sleep(0.01)


def _own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SAFELIGHT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SAFELIGHT_OUTPUT_DIR", str(tmp_path / "out"))
    monkeypatch.setenv("SAFELIGHT_COMFYUI_URL", "http://127.0.0.1:9")


def test_develops_pictures_from_the_drop_to_the_finished_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qapp: QApplication
) -> None:
    _own_folders(monkeypatch, tmp_path)
    qapp.setQuitOnLastWindowClosed(False)
    good = a_picture(tmp_path / "in" / "good.png", 300, 200)
    bad = tmp_path / "in" / "bad.png"
    bad.write_bytes(good.read_bytes()[:60])

    async def steps(session: Session, desk: Desk) -> None:
        session.sources.add([tmp_path / "in"])  # before the core is there
        await _until(lambda: bool(session.sources.files) and session.preset is not None)
        product_glow = session.presets.find("product-glow")
        assert product_glow is not None
        session.choose_preset(product_glow)
        session.form.set("glow", 80)
        desk.develop_panel.develop.click()
        await _until(lambda: session.progress.summary().done == 2)

        by_name = {job.source.name: job for job in session.jobs.jobs()}
        assert by_name["bad.png"].state is JobState.FAILED
        assert by_name["bad.png"].error
        assert by_name["good.png"].state is JobState.COMPLETED
        (path,) = by_name["good.png"].outputs
        assert path == tmp_path / "out" / "good.png"
        assert path.read_bytes() != good.read_bytes()
        assert session.results.rowCount() == 1
        assert desk.activity.progress_text == "1 done · 1 failed"

    assert _in_window(tmp_path / "data", qapp, steps) == 0


def test_the_next_start_shows_what_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qapp: QApplication
) -> None:
    _own_folders(monkeypatch, tmp_path)
    qapp.setQuitOnLastWindowClosed(False)
    one = a_picture(tmp_path / "one.png", 120, 80)

    async def develop(session: Session, desk: Desk) -> None:
        session.sources.add([one])
        await _until(session.can_develop)
        session.develop()
        await _until(lambda: session.progress.summary().done == 1)

    async def look(session: Session, desk: Desk) -> None:
        await _until(lambda: session.jobs.rowCount() == 1)
        assert session.results.rowCount() == 1

    assert _in_window(tmp_path / "data", qapp, develop) == 0
    assert _in_window(tmp_path / "data", qapp, look) == 0


def test_what_was_left_behind_is_finished_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qapp: QApplication
) -> None:
    _own_folders(monkeypatch, tmp_path)
    qapp.setQuitOnLastWindowClosed(False)
    pictures = [a_picture(tmp_path / "in" / f"{number}.png", 900, 600) for number in range(8)]

    def agree() -> None:
        box = qapp.activeModalWidget()
        assert isinstance(box, QMessageBox)
        next(button for button in box.buttons() if button.text() == "&Close now").click()

    async def leave(session: Session, desk: Desk) -> None:
        session.sources.add(pictures)
        await _until(session.can_develop)
        session.develop()
        await _until(lambda: session.progress.summary().active)
        QTimer.singleShot(0, lambda: QTimer.singleShot(0, agree))  # once it is asked

    async def wait(session: Session, desk: Desk) -> None:
        await _until(lambda: session.results.rowCount() == len(pictures))

    assert _in_window(tmp_path / "data", qapp, leave) == 0
    assert len(list((tmp_path / "out").glob("*.png"))) < len(pictures)
    assert _in_window(tmp_path / "data", qapp, wait) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [path.name for path in pictures]


def test_a_core_that_cannot_open_is_told_in_the_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qapp: QApplication
) -> None:
    _own_folders(monkeypatch, tmp_path)
    qapp.setQuitOnLastWindowClosed(False)
    monkeypatch.setenv("SAFELIGHT_ENGINE", "steam")

    async def steps(session: Session, desk: Desk) -> None:
        await _until(lambda: bool(desk.notice_bar.text))
        assert "SAFELIGHT_ENGINE" in desk.notice_bar.text
        assert not session.ready

    assert _in_window(tmp_path / "data", qapp, steps) == 3
