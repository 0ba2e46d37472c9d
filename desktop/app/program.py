"""The window as a program, from the first paint to its end."""

import asyncio
import importlib
import logging
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from time import monotonic
from types import TracebackType

from PySide6.QtWidgets import QApplication
from qasync import QEventLoop

from desktop.app.garbage import GarbageRounds
from desktop.state.doorbell import Doorbell, ring
from desktop.state.pictures import Pictures
from desktop.state.remembered import Remembered
from desktop.state.reveal import open_file, show_in_folder
from desktop.state.run_progress import RunProgress
from desktop.state.session import Session
from desktop.state.sources import PictureFinder, Sources
from desktop.state.thumbnail_store import ThumbnailStore
from desktop.ui.desk import Desk
from desktop.ui.icon_set import app_icon
from desktop.ui.main_window import MainWindow
from desktop.ui.messages import Text, say
from shared.errors import SafelightError, UsageError

__all__ = ["bell_name", "furnish", "hand_over", "new_session", "run_window", "serve"]

_log = logging.getLogger("safelight.window")

_NO_CORE = 3


def run_window(
    application: QApplication,
    window: MainWindow,
    remembered: Remembered,
    *,
    folder: Path,
    paths: Sequence[Path],
) -> int:
    """Fill the window, put the core behind it, and return when it has closed."""
    GarbageRounds(application).begin()
    application.setQuitOnLastWindowClosed(False)  # the core is closed first
    session = new_session(folder, remembered)
    furnish(window, session)
    session.sources.add(paths)
    doorbell = Doorbell(name=bell_name(folder))
    doorbell.rung.connect(session.sources.add)
    doorbell.rung.connect(window.bring_forward)
    with QEventLoop(application) as loop, _reporting(session):
        code: int = loop.run_until_complete(serve(session, window))
    doorbell.close()
    session.close()
    return code


def new_session(folder: Path, remembered: Remembered) -> Session:
    """`folder` holds what the window itself keeps."""
    return Session(
        remembered=remembered,
        sources=Sources(paste_folder=folder / "pasted", name_paste=_paste_name),
        pictures=Pictures(thumbnails=ThumbnailStore(folder / "thumbnails")),
        progress=RunProgress(clock=monotonic),
    )


def furnish(window: MainWindow, session: Session) -> Desk:
    desk = Desk(session, open_file=open_file, show_in_folder=show_in_folder)
    window.setWindowIcon(app_icon())
    window.furnish(desk, may_close=desk.may_close)
    window.closing.connect(desk.keep_layout)
    return desk


async def serve(session: Session, window: MainWindow) -> int:
    """Load the core behind the window, and close it when the window has closed."""
    closed = asyncio.Event()
    window.closing.connect(closed.set)
    try:
        await asyncio.to_thread(_load_core)
        await _attend(session, closed.wait)
    except SafelightError as error:
        session.tell(error.message, trouble=True)
    except Exception as error:  # noqa: BLE001  # the window stays, and says what happened
        session.tell(_describe(error), trouble=True)
    else:
        return 0
    await closed.wait()
    return _NO_CORE


async def _attend(session: Session, closed: Callable[[], Awaitable[object]]) -> None:
    from desktop.runtime import open_runtime
    from desktop.runtime.picture_child import PictureChild
    from desktop.settings import load_settings
    from desktop.state.bridge import Bridge
    from shared.logs import logs_in_file

    settings = load_settings()
    with logs_in_file(settings.paths.log), closing(PictureChild()) as child:
        session.pictures.use(child.read)
        async with open_runtime(settings, adopt=True) as runtime:
            bridge = Bridge(core=runtime, session=session, describe=_describe)
            try:
                await bridge.open(default_out=settings.output_dir, finder=_finder(settings.output_dir))
                await closed()
            finally:
                await bridge.aclose()


def _load_core() -> None:
    """Import what is heavy, on a thread, while the window answers."""
    for name in ("desktop.settings", "desktop.runtime", "desktop.state.bridge"):
        importlib.import_module(name)


def _finder(out_folder: Path) -> PictureFinder:
    from desktop.runtime.gathering import gather_files
    from shared.media import READABLE_SUFFIXES

    def find(path: Path) -> list[Path]:
        if path.is_file() and path.suffix.lower() not in READABLE_SUFFIXES:
            raise UsageError(
                f"{path.name} is not a picture that Safelight reads: save it as JPEG, PNG or TIFF first",
                file=str(path),
            )
        return [found.path for found in gather_files([path], out_folder=out_folder)]

    return PictureFinder(READABLE_SUFFIXES, find)


def hand_over(folder: Path, paths: Sequence[Path]) -> int:
    if ring(bell_name(folder), paths):
        return 0
    print(say(Text.ALREADY_OPEN), file=sys.stderr)  # noqa: T201
    return _NO_CORE


@contextmanager
def _reporting(session: Session) -> Iterator[None]:
    """Errors that nobody caught reach the log and the user, and the window goes on."""
    before = sys.excepthook

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        before(kind, error, trace)
        if isinstance(error, Exception):
            session.tell(_describe(error), trouble=True)

    sys.excepthook = report
    try:
        yield
    finally:
        sys.excepthook = before


def _describe(error: Exception) -> str:
    _log.error("unexpected error in the window", exc_info=error)
    return say(Text.UNEXPECTED, kind=type(error).__name__)


def bell_name(folder: Path) -> str:
    """One name for each data folder; the socket is the user's own."""
    return f"safelight-{sha256(str(folder).encode()).hexdigest()[:16]}"


def _paste_name() -> str:
    return f"pasted-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}.png"
