"""One command's use of the core: opened, jobs submitted and awaited, closed."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from desktop.cli.batch import CommandBatch
from desktop.cli.exit_code import ExitCode
from desktop.cli.report import open_report
from desktop.engines.comfy_process import ComfyStarting
from desktop.engines.registry import Seat
from desktop.jobs.bell import Bell
from desktop.jobs.queue import JobQueue
from desktop.runtime import Runtime, open_runtime
from desktop.settings import Settings, load_settings
from desktop.store.database import Database
from desktop.store.holder import Holder
from desktop.store.job import EngineChoice, NewJob
from shared.comfy.graph import Graph
from shared.jobs.state import is_terminal
from shared.legible import legible
from shared.logs import configure_logs
from shared.presets.bundle import Preset

__all__ = ["cancel_jobs", "load", "open_journal", "require_engine", "run_jobs"]


_PATIENCE_S = 60.0
_CANCEL_WAIT_S = 30.0
_LOOK_AGAIN_S = 0.1

_Submission = Callable[[Runtime, str], AsyncIterator[Sequence[NewJob]]]


def load() -> Settings:
    """The settings, with logs going to stderr. Raises BadSettings."""
    settings = load_settings()
    configure_logs(level=settings.log_level)
    return settings


def run_jobs(settings: Settings, submission: _Submission, *, as_json: bool) -> ExitCode:
    """Submit what `submission` makes for this runtime and batch id, wait for it, and report it."""
    try:
        return asyncio.run(_run_jobs(settings, submission, as_json=as_json))
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED


async def _run_jobs(settings: Settings, submission: _Submission, *, as_json: bool) -> ExitCode:
    report = open_report(as_json=as_json)
    try:
        async with open_runtime(settings, patience_s=_PATIENCE_S) as runtime:
            with CommandBatch(runtime, report) as batch:
                await batch.submit(submission(runtime, batch.id))
                await batch.wait()
    finally:
        report.close()
    if report.only_engine_missing:
        return ExitCode.NO_ENGINE
    return ExitCode.SOME_FAILED if report.failed or batch.waiting else ExitCode.DONE


async def require_engine(
    runtime: Runtime, choice: EngineChoice, *, server: str | None, preset: Preset | None, graph: Graph | None
) -> Seat:
    """Waits for one that is being started. Raises EngineUnavailable before anything is journalled."""
    engines = runtime.engine_registry
    while True:
        try:
            seat = await engines.choose(choice, server=server, preset=preset, graph=graph)
        except ComfyStarting as error:
            sys.stderr.write(f"safelight: {legible(error.message)}\n")
            await engines.comfy_started()
        else:
            await engines.capabilities(seat)
            return seat


@asynccontextmanager
async def open_journal(settings: Settings) -> AsyncIterator[JobQueue]:
    """The journal without anything that runs jobs."""
    with Holder(settings.paths.holders) as holder:
        async with Database(settings.paths.journal) as database:
            yield JobQueue(database=database, holder=holder, bell=Bell())


async def cancel_jobs(settings: Settings, beginnings: Sequence[str]) -> tuple[str, ...]:
    """Ask for the ends of these jobs; the ids of those that are still open after a while."""
    async with open_runtime(settings, patience_s=_PATIENCE_S) as runtime:
        waiting = [(await runtime.queue.find(beginning)).id for beginning in beginnings]
        for job_id in waiting:
            await runtime.queue.cancel(job_id)
        for _ in range(round(_CANCEL_WAIT_S / _LOOK_AGAIN_S)):
            waiting = [job for job in waiting if not is_terminal((await runtime.queue.get(job)).state)]
            if not waiting:
                break
            await asyncio.sleep(_LOOK_AGAIN_S)
    return tuple(waiting)
