"""A ComfyUI of the user's, started when a preset needs one and ended with the program."""

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from desktop.engines.comfy_command import ComfyCommand
from desktop.engines.comfy_users import ComfyPlace, Running, UserMark
from shared.engines.base import EngineUnavailable

__all__ = ["ComfyProcess", "ComfyStarting"]

_LOOK_S = 0.25
_SOUND_S = 60.0  # one that ran so long before it ended was no failed start
_LONGEST_WAIT_S = 60.0
_END_S = 15.0
_LINES = 4

_Answers = Callable[[str], Awaitable[bool]]


class ComfyStarting(EngineUnavailable):
    """It will answer soon; `started` waits for that."""

    code = "comfyui_starting"


class ComfyProcess:
    """Shared by all processes of one data folder. `answers` asks a server whether it is ready.

    Belongs to one event loop.
    """

    def __init__(
        self, *, command: ComfyCommand, state_folder: Path, answers: _Answers, start_limit_s: float
    ) -> None:
        self._command = command
        self._place = ComfyPlace(state_folder)
        self._answers = answers
        self._start_limit_s = start_limit_s
        self._using = contextlib.ExitStack()
        self._keeper: subprocess.Popen[bytes] | None = None
        self._starting: asyncio.Task[str] | None = None
        self._url: str | None = None
        self._failures = 0
        self._trouble: EngineUnavailable | None = None
        self._start_again_at = 0.0

    @property
    def place(self) -> str:
        """Where it is started from."""
        return self._command.place

    @property
    def trouble(self) -> str | None:
        """Why it does not run, if it should."""
        return None if self._trouble is None else self._trouble.message

    async def running(self) -> str | None:
        """The address of the one that some process of ours has running; starts nothing."""
        running = await asyncio.to_thread(self._place.running)
        return None if running is None else running.url

    async def address(self) -> str:
        """Where it answers. Raises ComfyStarting having begun its start, EngineUnavailable."""
        if self._url is not None:
            if await asyncio.to_thread(self._place.is_kept):
                return self._url
            self._url = None
            self._note_failure(await asyncio.to_thread(self._why_it_ended))
        if self._starting is None:
            wait_s = self._start_again_at - asyncio.get_running_loop().time()
            if self._trouble is not None and wait_s > 0:
                raise EngineUnavailable(f"{self._trouble.message}; it is started again in {wait_s:.0f} s")
            self._starting = asyncio.create_task(self._start())
            self._starting.add_done_callback(self._note_start)
        raise ComfyStarting(f"ComfyUI is being started from {self.place}: one moment")

    async def started(self) -> None:
        """Until a start that was begun has come to its end. Raises EngineUnavailable."""
        if self._starting is not None:
            await asyncio.shield(self._starting)

    async def aclose(self) -> None:
        """Its keeper ends it if nobody else uses it; returns when that is done."""
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait([self._starting])
        await asyncio.to_thread(self._leave)

    def _note_start(self, task: asyncio.Task[str]) -> None:
        self._starting = None
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._url, self._trouble = task.result(), None
        elif isinstance(error, EngineUnavailable):
            self._note_failure(error)

    def _note_failure(self, error: EngineUnavailable) -> None:
        self._trouble = error
        self._failures += 1
        wait_s = min(2.0**self._failures, _LONGEST_WAIT_S)
        self._start_again_at = asyncio.get_running_loop().time() + wait_s

    async def _start(self) -> str:
        try:
            async with asyncio.timeout(self._start_limit_s):
                url = await asyncio.to_thread(self._join_or_launch)
                while not await self._answers(url):
                    if not await asyncio.to_thread(self._place.is_kept):
                        raise await asyncio.to_thread(self._why_it_ended)
                    await asyncio.sleep(_LOOK_S)
                return url
        except TimeoutError as error:
            await asyncio.to_thread(self._leave)
            raise EngineUnavailable(
                f"ComfyUI from {self.place} did not answer within {self._start_limit_s:.0f} s and was "
                f"ended; its log is {self._place.log}"
            ) from error
        except OSError as error:
            raise EngineUnavailable(f"ComfyUI from {self.place} cannot be started: {error}") from error

    def _join_or_launch(self) -> str:
        """Raises EngineUnavailable."""
        with self._place.start_lock():
            self._using.close()
            self._using.enter_context(UserMark(self._place))
            running = self._place.running()
            return running.url if running is not None else self._launch()

    def _launch(self) -> str:
        if self._keeper is not None:
            _wait(self._keeper, _END_S)
        port = _free_port()
        url = f"http://127.0.0.1:{port}"
        cwd = None if self._command.folder is None else str(self._command.folder)
        self._place.write_order(Running(command=self._command.line(port), cwd=cwd, url=url))
        keeper = subprocess.Popen(
            [sys.executable, "-m", "desktop.engines.comfy_keeper", str(self._place.folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._keeper = keeper
        while not self._place.is_kept():
            if keeper.poll() is not None:
                raise self._why_it_ended()
            _wait(keeper, _LOOK_S / 5)
        return url

    def _leave(self) -> None:
        was_used = self._place.has_users()
        self._using.close()
        end = time.monotonic() + _END_S
        while was_used and self._place.is_kept() and not self._place.has_users() and time.monotonic() < end:
            time.sleep(_LOOK_S / 5)
        self._let_go()

    def _let_go(self) -> None:
        if self._keeper is not None:
            _wait(self._keeper, 0 if self._place.has_users() else _END_S)
            if self._keeper.returncode is None:
                self._keeper.returncode = 0  # it serves others: no longer ours to wait for
        self._keeper = None

    def _why_it_ended(self) -> EngineUnavailable:
        ended = self._place.ended()
        if ended is not None and ended.lasted_s >= _SOUND_S:
            self._failures = 0
        how = "was ended" if ended is None else f"ended with code {ended.code}"
        said = " | ".join(self._place.last_lines(_LINES)) or "it said nothing"
        return EngineUnavailable(
            f"ComfyUI from {self.place} {how}: {said} (the whole log is {self._place.log})",
            log=str(self._place.log),
        )


def _wait(process: "subprocess.Popen[bytes]", limit_s: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(limit_s)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
