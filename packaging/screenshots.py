"""`make screenshots`: the window at work on real photographs, as docs/screenshots/*.png.

Where COMFYUI_URL names a ComfyUI that holds the checkpoint of Portrait Pro, a run there is taken too.
"""

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QSize
from PySide6.QtGui import QImage, QImageWriter
from PySide6.QtWidgets import QApplication
from qasync import QEventLoop

from desktop.app.program import furnish, new_session, serve
from desktop.state.remembered import Remembered
from desktop.state.session import Session
from desktop.ui.desk import Desk
from desktop.ui.main_window import MainWindow
from desktop.ui.theme import STYLE, apply_theme
from desktop.views import JobView
from shared.presets.bundle import sample_photos_folder

_ROOT = Path(__file__).resolve().parent.parent
_TARGET = _ROOT / "docs" / "screenshots"
_SIZE = QSize(1160, 730)
_SECONDS = 900  # a ComfyUI may work on the CPU
_QUICK = {"strength": 0.6, "size": 256, "steps": 12}
_NOBODY = "http://127.0.0.1:9"  # a ComfyUI that happens to run changes no picture


def main() -> int:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    server = os.environ.get("COMFYUI_URL")
    os.environ["SAFELIGHT_COMFYUI_URL"] = server or _NOBODY
    with tempfile.TemporaryDirectory(prefix="safelight-screenshots-") as folder:
        os.environ["SAFELIGHT_DATA_DIR"] = str(Path(folder, "data"))
        os.environ["SAFELIGHT_OUTPUT_DIR"] = str(Path(folder, "Pictures", "Safelight"))
        os.environ["HOME"] = folder  # so that paths show as a user's own
        photos = Path(folder, "Photographs")
        shutil.copytree(sample_photos_folder(), photos, ignore=shutil.ignore_patterns("*.md"))
        return _run(Path(folder), photos, with_server=server is not None)


def _run(folder: Path, photos: Path, *, with_server: bool) -> int:
    application = QApplication([*sys.argv[:1], *STYLE])
    application.setQuitOnLastWindowClosed(False)
    apply_theme(application)
    session = new_session(folder / "data", Remembered(file=folder / "window.ini"))
    window = MainWindow(session.remembered)
    desk = furnish(window, session)
    window.resize(_SIZE)
    window.show()
    with QEventLoop(application) as loop:
        code: int = loop.run_until_complete(_take_all(session, window, desk, photos, with_server=with_server))
    session.close()
    return code


async def _take_all(
    session: Session, window: MainWindow, desk: Desk, photos: Path, *, with_server: bool
) -> int:
    served = asyncio.ensure_future(serve(session, window))
    async with asyncio.timeout(_SECONDS):
        await _until(lambda: session.preset is not None)
        await _develop(session, "matte-film", [photos / "portrait.jpg", photos / "landscape.jpg"])
        await _develop(session, "cinematic", [photos / "landscape.jpg"])
        await _develop(session, "product-glow", [photos / "product.jpg"])
        session.sources.add([photos])
        await _until(lambda: bool(session.sources.files))
        desk.activity.queue.setCurrentIndex(session.jobs.index(0, 0))
        await _take(session, desk, "window.png")
        desk.activity.show_results()
        desk.activity.results.setCurrentIndex(session.results.index(1, 0))
        await _take(session, desk, "results.png")
        if with_server:
            session.sources.clear()
            await _take_ai_run(session, desk, photos / "portrait.jpg")
    window.close()
    return await served


async def _take_ai_run(session: Session, desk: Desk, portrait: Path) -> None:
    """In the middle of it: with its step, and the picture as far as it is."""
    preset = session.presets.find("portrait-pro")
    if preset is None or preset.unavailable is not None:
        raise SystemExit(f"portrait-pro cannot run: {preset.unavailable if preset else 'not installed'}")
    session.choose_preset(preset)
    for name, value in _QUICK.items():
        session.form.set(name, value)
    session.sources.add([portrait])
    await _until(session.can_develop)
    desk.activity.show_queue()
    session.develop()
    await _until(lambda: _newest(session).stage is not None)
    desk.activity.queue.setCurrentIndex(session.jobs.index(0, 0))
    await _until(lambda: _newest(session).fraction > 0.5 and session.spotlight.preview is not None)
    await _take(session, desk, "ai.png")
    session.cancel_wanted.emit(_newest(session).id)
    await _until(lambda: not session.progress.summary().active)


def _newest(session: Session) -> JobView:
    return next(session.jobs.jobs())


async def _develop(session: Session, preset_id: str, files: list[Path]) -> None:
    preset = session.presets.find(preset_id)
    if preset is None:
        raise SystemExit(f"the preset {preset_id} is not installed")
    session.choose_preset(preset)
    session.sources.add(files)
    await _until(session.can_develop)
    done = session.results.rowCount() + len(files)
    session.develop()
    await _until(lambda: session.results.rowCount() == done)


async def _take(session: Session, desk: Desk, name: str) -> None:
    """Wait until every picture in sight has been read, then keep what the window looks like."""
    await _until(lambda: not desk.viewer.is_reading)
    for _ in range(3):
        desk.grab()
        await _until(lambda: not session.pictures.is_reading)
    _TARGET.mkdir(parents=True, exist_ok=True)
    picture = desk.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    writer = QImageWriter(str(_TARGET / name))
    writer.setCompression(100)
    if not writer.write(picture):
        raise SystemExit(f"{name}: {writer.errorString()}")
    print(f"{_TARGET / name}: {(_TARGET / name).stat().st_size // 1000} kB")


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # models of Qt have no events to wait for
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main())
