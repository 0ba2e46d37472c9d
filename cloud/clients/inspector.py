"""Warm processes that inspect uploaded files, each one after another."""

import asyncio
import contextlib
import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cloud.clients.inspection import READY_LINE, Findings, Question, Refusal
from cloud.errors import InspectionFailed
from shared.media import MediaLimits

__all__ = ["Inspector"]

_CPU_S = 30
_TIMEOUT_S = 60.0
_FILES_PER_PROCESS = 500  # so that nothing a decoder loses grows for ever


@dataclass(frozen=True, slots=True)
class _Pipes:
    process: asyncio.subprocess.Process
    to_child: asyncio.StreamWriter
    from_child: asyncio.StreamReader


class Inspector:
    """Start it early: the first file then does not wait for a process."""

    def __init__(self, *, limits: MediaLimits, processes: int = 2) -> None:
        self._limits = limits
        self._all = tuple(_Looker() for _ in range(processes))
        self._asked = 0
        self._free: asyncio.LifoQueue[_Looker] = asyncio.LifoQueue()
        for looker in self._all:
            self._free.put_nowait(looker)

    async def start(self) -> None:
        """One process; others follow as they are needed."""
        await self._all[-1].start()

    @property
    def pid(self) -> int | None:
        """Of the process that looks at the next file, if one waits for it."""
        return self._all[-1].pid

    @property
    def busy(self) -> int:
        """How many files are looked at, or wait for it."""
        return self._asked

    async def inspect(self, path: Path, *, digest: str | None, size: int) -> Findings | Refusal:
        """A `digest` of None: whoever wrote the file saw to that. Raises InspectionFailed when no process
        could be asked at all."""
        return await self._answer(self._question(path, digest, size))

    async def strip(self, path: Path, copy: Path, *, digest: str, size: int) -> Findings | Refusal:
        """Inspect the file and write a copy without its metadata, about which nothing is said yet."""
        return await self._answer(replace(self._question(path, digest, size), copy_to=str(copy)))

    async def aclose(self) -> None:
        await asyncio.gather(*(looker.aclose() for looker in self._all))

    def _question(self, path: Path, digest: str | None, size: int) -> Question:
        return Question(
            path=str(path),
            digest=digest,
            bytes=size,
            max_bytes=self._limits.max_bytes,
            max_pixels=self._limits.max_pixels,
            max_frames=self._limits.max_frames,
            cpu_s=_CPU_S,
        )

    async def _answer(self, question: Question) -> Findings | Refusal:
        self._asked += 1
        try:
            looker = await self._free.get()
            try:
                answer = await looker.ask(json.dumps(asdict(question)))
            finally:
                self._free.put_nowait(looker)
        finally:
            self._asked -= 1
        if answer is None:
            return Refusal("too_heavy", "looking at the file took too much memory or time; make it smaller")
        found = json.loads(answer)
        return Findings(**found["found"]) if "found" in found else Refusal(**found["refused"])


class _Looker:
    """One process, asked by one at a time."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._pipes: _Pipes | None = None
        self._inspected = 0

    async def start(self) -> None:
        async with self._turn:
            await self._running()

    @property
    def pid(self) -> int | None:
        return None if self._pipes is None else self._pipes.process.pid

    async def ask(self, line: str) -> bytes | None:
        """One line for one line; None if the file ended the process."""
        async with self._turn:
            return await self._ask(line)

    async def aclose(self) -> None:
        async with self._turn:
            await self._end()

    async def _ask(self, line: str) -> bytes | None:
        pipes = await self._running()
        answer = b""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                pipes.to_child.write(line.encode() + b"\n")
                await pipes.to_child.drain()
                answer = await pipes.from_child.readline()
        except (TimeoutError, OSError):
            answer = b""
        finally:
            self._inspected += 1
            if not answer.endswith(b"\n") or self._inspected >= _FILES_PER_PROCESS:
                await self._end()
        return answer if answer.endswith(b"\n") else None

    async def _running(self) -> _Pipes:
        """A process that has said that it is ready. Raises InspectionFailed."""
        if self._pipes is not None and self._pipes.process.returncode is None:
            return self._pipes
        self._inspected = 0
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "cloud.clients.inspection",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise _failed() from error
        if process.stdin is None or process.stdout is None:
            raise _failed()
        self._pipes = _Pipes(process, process.stdin, process.stdout)
        if await process.stdout.readline() != READY_LINE.encode():
            await self._end()
            raise _failed()
        return self._pipes

    async def _end(self) -> None:
        pipes, self._pipes = self._pipes, None
        if pipes is not None:
            with contextlib.suppress(ProcessLookupError):
                pipes.process.kill()
            pipes.to_child.close()
            await pipes.process.wait()


def _failed() -> InspectionFailed:
    return InspectionFailed("files cannot be inspected just now; try again in a moment")
