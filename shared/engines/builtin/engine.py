"""The engine that needs no server: graphs run in child processes, their state in run folders."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from shared.engines.base import Capabilities, EngineUnavailable, OutputRejected, RunLost, Ticket, Work
from shared.engines.builtin.classes import NODE_CLASSES
from shared.engines.builtin.pool import ProcessPool
from shared.engines.builtin.process_lock import ProcessLock
from shared.engines.builtin.run_folder import EventReader, RunFolder, is_terminal
from shared.engines.builtin.staging import stage
from shared.engines.builtin.worker import WorkerDied
from shared.ids import new_id
from shared.jobs.events import Cancelled, Failed, JobEvent, Output, TerminalEvent
from shared.media import DEFAULT_INPUT_LIMITS, MediaLimits

__all__ = ["ENGINE_NAME", "BuiltinEngine"]

ENGINE_NAME = "builtin"
_CHUNK_BYTES = 1 << 20
_POLL_S = 0.05  # what other processes write is only seen by looking
_LOCK_TRIES = 20
_LOCK_RETRY_S = 0.005
_GRACE_S = 2.0  # for a cancelled run to stop by itself


@dataclass(slots=True, eq=False)
class _ActiveRun:
    """A run that this process owns, from its start to its end."""

    ticket: Ticket
    folder: RunFolder
    lock: ProcessLock
    cancel_asked: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    has_begun: bool = False

    def wake_followers(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class BuiltinEngine:
    """Keeps each run in `state_folder`/runs/<run id>; several engines may share that folder.

    The engine uses the pool but does not close it.
    """

    def __init__(
        self, *, state_folder: Path, pool: ProcessPool, input_limits: MediaLimits = DEFAULT_INPUT_LIMITS
    ) -> None:
        self._runs = state_folder / "runs"
        self._pool = pool
        self._limits = input_limits
        self._active: dict[str, _ActiveRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        return ENGINE_NAME

    async def capabilities(self) -> Capabilities:
        return Capabilities(node_classes=NODE_CLASSES)

    async def prepare(self, work: Work) -> Ticket:
        run_id = new_id()
        folder = RunFolder(self._runs / run_id)
        try:
            request = await asyncio.to_thread(stage, work, folder, self._limits)
        except OSError as error:
            raise EngineUnavailable(f"the files of the run cannot be written: {error.strerror}") from error
        return Ticket(
            engine=ENGINE_NAME,
            run_id=run_id,
            job_id=work.job_id,
            attempt=work.attempt,
            details={"memory_bytes": request.memory_bytes},
        )

    async def start(self, ticket: Ticket) -> None:
        folder = self._known(ticket)
        if ticket.run_id in self._active:
            return
        lock = await _locked(folder)
        if lock is None:
            return  # another process, or another engine of this one, runs it
        if folder.end(ticket) is not None:
            lock.release()
        elif folder.is_cancel_asked():
            folder.append(_cancelled(ticket))
            lock.release()
        else:
            self._own(ticket, folder, lock)

    def _own(self, ticket: Ticket, folder: RunFolder, lock: ProcessLock) -> None:
        folder.begin_anew()
        run = self._active[ticket.run_id] = _ActiveRun(ticket, folder, lock)
        task = asyncio.create_task(self._owned(run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def follow(self, ticket: Ticket) -> AsyncGenerator[JobEvent, None]:
        folder = self._known(ticket)
        reader = EventReader(folder, ticket)
        while True:
            run = self._active.get(ticket.run_id)
            changed = run.changed if run else None
            alive = run is not None or _is_locked(folder)
            for event in reader.read():
                yield event
                if is_terminal(event):
                    return
            if not alive:
                raise _lost(ticket)
            if changed is None:
                await asyncio.sleep(_POLL_S)
            else:
                await changed.wait()

    async def cancel(self, ticket: Ticket) -> None:
        folder = self._folder(ticket)
        if not folder.is_known() or folder.end(ticket) is not None:
            return
        folder.ask_to_cancel()
        while folder.is_known() and folder.end(ticket) is None:
            run = self._active.get(ticket.run_id)
            if run is not None:
                run.cancel_asked.set()
                await run.changed.wait()
            elif not await self._ended_for_nobody(ticket, folder):
                await asyncio.sleep(_POLL_S)

    async def fetch(self, ticket: Ticket, output: Output, sink: BinaryIO) -> None:
        path = self._known(ticket).output_path(output)
        if not path.is_file():
            raise _lost(ticket)
        await asyncio.to_thread(_copy_checked, path, output, sink)

    async def forget(self, ticket: Ticket) -> None:
        await self.cancel(ticket)
        while (
            run := self._active.get(ticket.run_id)
        ) is not None:  # its end is written, it is not let go yet
            await run.changed.wait()
        await asyncio.to_thread(self._folder(ticket).remove)

    async def aclose(self) -> None:
        """Runs that are not over stop here; whoever has their tickets may start them again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _owned(self, run: _ActiveRun) -> None:
        try:
            end = await self._ended(run)
            with contextlib.suppress(FileNotFoundError):  # the run was forgotten meanwhile
                if run.folder.end(run.ticket) is None:
                    run.folder.append(end)
        finally:
            del self._active[run.ticket.run_id]
            run.lock.release()
            run.wake_followers()

    async def _ended(self, run: _ActiveRun) -> TerminalEvent:
        """See the run to its end; returns what to write if the child has not said how it ended."""
        work = asyncio.create_task(self._worked(run))
        cancel = asyncio.create_task(_cancel_asked(run))
        try:
            await asyncio.wait({work, cancel}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done() and run.has_begun:
                await asyncio.wait({work}, timeout=_GRACE_S)
        finally:
            cancel.cancel()
            work.cancel()
            await asyncio.gather(work, cancel, return_exceptions=True)
        return _cancelled(run.ticket) if run.folder.is_cancel_asked() else _died(run.ticket)

    async def _worked(self, run: _ActiveRun) -> None:
        """Cancelled in the middle, this kills the child."""
        with contextlib.suppress(WorkerDied, TimeoutError):
            async with self._pool.worker(int(str(run.ticket.details["memory_bytes"]))) as worker:
                run.has_begun = True
                await worker.run(run.folder.path, run.wake_followers)

    async def _ended_for_nobody(self, ticket: Ticket, folder: RunFolder) -> bool:
        """Write the end of a run that no process owns; False where one does."""
        lock = folder.lock()
        try:
            if not lock.acquire():
                return False
        except FileNotFoundError:
            return True
        if folder.end(ticket) is None:
            folder.append(_cancelled(ticket))
        lock.release()
        return True

    def _folder(self, ticket: Ticket) -> RunFolder:
        return RunFolder(self._runs / ticket.run_id)

    def _known(self, ticket: Ticket) -> RunFolder:
        folder = self._folder(ticket)
        if not folder.is_known():
            raise _lost(ticket)
        return folder


async def _locked(folder: RunFolder) -> ProcessLock | None:
    """The run's lock; None when somebody really has it and is not just looking whether it is free."""
    lock = folder.lock()
    for _ in range(_LOCK_TRIES):
        if lock.acquire():
            return lock
        await asyncio.sleep(_LOCK_RETRY_S)
    return None


def _is_locked(folder: RunFolder) -> bool:
    lock = folder.lock()
    try:
        if not lock.acquire():
            return True
    except FileNotFoundError:
        return False
    lock.release()
    return False


async def _cancel_asked(run: _ActiveRun) -> None:
    """Returns once this or another process asked."""
    while not run.folder.is_cancel_asked():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_POLL_S):
                await run.cancel_asked.wait()


def _copy_checked(path: Path, output: Output, sink: BinaryIO) -> None:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            sink.write(chunk)
    if digest.hexdigest() != output.digest:
        raise OutputRejected(f"{output.name} changed on the disk after it was made", file=output.name)


def _lost(ticket: Ticket) -> RunLost:
    return RunLost("the built-in engine no longer knows this run; start it again", run=ticket.run_id)


def _cancelled(ticket: Ticket) -> Cancelled:
    return Cancelled(job_id=ticket.job_id, attempt=ticket.attempt, at=datetime.now(UTC))


def _died(ticket: Ticket) -> Failed:
    return Failed(
        job_id=ticket.job_id,
        attempt=ticket.attempt,
        at=datetime.now(UTC),
        code="worker_died",
        message="the process that did the work was ended from outside, perhaps for want of memory; try again",
        retryable=True,
    )
