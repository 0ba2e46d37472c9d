"""The only place where coroutines meet Qt."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import assert_never

from PySide6.QtCore import QObject, QTimer
from PySide6.QtGui import QImage

from desktop.state.form import FormRules
from desktop.state.session import Session
from desktop.state.sources import PictureFinder
from desktop.views import Core, CoreUpdate, DevelopRequest, JobPreview, JobView
from shared.errors import SafelightError
from shared.presets.values import check_value, is_visible

__all__ = ["Bridge"]

_FRAME_MS = 33


class Bridge(QObject):
    """Turns the session's wishes into coroutines of the core, and its updates into 30 changes a second."""

    def __init__(self, *, core: Core, session: Session, describe: Callable[[Exception], str]) -> None:
        super().__init__()
        self._core = core
        self._session = session
        self._describe = describe
        self._tasks: set[asyncio.Task[None]] = set()
        self._jobs: dict[str, JobView] = {}
        self._previews: dict[str, JobPreview] = {}
        self._frame = QTimer(self)
        self._frame.setSingleShot(True)
        self._frame.setInterval(_FRAME_MS)
        self._frame.timeout.connect(self.flush)
        self._unsubscribe: Callable[[], None] | None = None

    async def open(self, *, default_out: Path, finder: PictureFinder) -> None:
        """Show what the core holds, and answer wishes from now on."""
        self._unsubscribe = self._core.subscribe(self._take)
        self._session.develop_wanted.connect(self._on_develop)
        self._session.cancel_wanted.connect(self._on_cancel)
        self._session.retry_wanted.connect(self._on_retry)
        self._session.refresh_wanted.connect(self._on_refresh)
        rules = FormRules(check_value, is_visible)
        self._session.open(default_out=default_out, rules=rules, finder=finder)
        self._session.show_presets(await self._core.shelf())
        self._session.take_jobs(await self._core.jobs())
        self._on_refresh()  # a server that does not answer keeps nobody waiting

    async def aclose(self) -> None:
        """Deliver what is pending, and end every task of ours."""
        if self._unsubscribe is not None:
            self._unsubscribe()
        self._frame.stop()
        self.flush()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def flush(self) -> None:
        """Hand over the latest of everything that changed since the last time."""
        jobs, self._jobs = self._jobs, {}
        previews, self._previews = self._previews, {}
        if jobs:
            self._session.take_jobs(tuple(jobs.values()))
        if previews:
            self._session.take_previews(_decoded(previews.values()))

    def _take(self, update: CoreUpdate) -> None:
        match update:
            case JobView():
                self._jobs[update.id] = update
            case JobPreview():
                self._previews[update.job_id] = update
            case _:
                assert_never(update)
        if not self._frame.isActive():
            self._frame.start()

    def _on_develop(self, request: DevelopRequest) -> None:
        self._spawn(partial(self._develop, request), refused=self._session.refused)

    def _on_cancel(self, job_id: str) -> None:
        self._spawn(partial(self._core.cancel, job_id))

    def _on_retry(self, job_id: str) -> None:
        self._spawn(partial(self._retry, job_id))

    def _on_refresh(self) -> None:
        self._spawn(self._refresh)

    async def _develop(self, request: DevelopRequest) -> None:
        job_ids: Sequence[str] = await self._core.develop(request)
        self.flush()
        self._session.submitted(job_ids)

    async def _retry(self, job_id: str) -> None:
        await self._core.retry(job_id)

    async def _refresh(self) -> None:
        self._session.show_engines(await self._core.engines())
        self._session.show_presets(await self._core.presets())

    def _spawn(
        self, work: Callable[[], Awaitable[None]], *, refused: Callable[[str], None] | None = None
    ) -> None:
        task = asyncio.ensure_future(self._guarded(work, refused or self._tell))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Callable[[], Awaitable[None]], refused: Callable[[str], None]) -> None:
        try:
            await work()
        except SafelightError as error:
            refused(error.message)
        except Exception as error:  # noqa: BLE001  # the window goes on; the user is told and the log has the rest
            refused(self._describe(error))

    def _tell(self, text: str) -> None:
        self._session.tell(text, trouble=True)


def _decoded(previews: Iterable[JobPreview]) -> dict[str, QImage]:
    pictures = {preview.job_id: QImage.fromData(preview.data) for preview in previews}
    return {job_id: picture for job_id, picture in pictures.items() if not picture.isNull()}
