"""`safelight jobs`: the journal from outside."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Annotated

import typer

from desktop.cli.exit_code import ExitCode
from desktop.cli.options import JsonOption
from desktop.store.job import Job, NewJob
from shared.jobs.state import JobState

__all__ = ["register"]

_JobId = Annotated[str, typer.Argument(help="As in `safelight jobs list`; its first characters are enough.")]


def register(app: typer.Typer) -> None:
    commands = typer.Typer(help="List, show, retry and cancel jobs.", no_args_is_help=True)
    commands.command("list")(_list)
    commands.command("show")(_show)
    commands.command("retry")(_retry)
    commands.command("cancel")(_cancel)
    app.add_typer(commands, name="jobs")


def _list(
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000)] = 50,
    failed: Annotated[bool, typer.Option("--failed", help="Only jobs that failed.")] = False,
    as_json: JsonOption = False,
) -> int:
    """List jobs, newest first, and before them the files that wait for another one."""
    from desktop.cli.job_report import print_job_line, print_job_table, print_waiting_line
    from desktop.cli.session import load, open_journal
    from desktop.store.waiting import WaitingFile

    async def read() -> tuple[tuple[Job, ...], tuple[WaitingFile, ...]]:
        async with open_journal(load()) as queue:
            if failed:
                return await queue.latest(limit, state=JobState.FAILED), ()
            return await queue.latest(limit), await queue.waiting_files()

    jobs, waiting = asyncio.run(read())
    if as_json:
        for file in waiting:
            print_waiting_line(file)
        for job in jobs:
            print_job_line(job)
    else:
        print_job_table(jobs, waiting)
    return ExitCode.DONE


def _show(job_id: _JobId, as_json: JsonOption = False) -> int:
    """Show one job."""
    from desktop.cli.job_report import print_job_line, print_job_sheet
    from desktop.cli.session import load, open_journal

    async def read() -> Job:
        async with open_journal(load()) as queue:
            return await queue.find(job_id)

    job = asyncio.run(read())
    (print_job_line if as_json else print_job_sheet)(job)
    return ExitCode.DONE


def _retry(
    job_ids: Annotated[list[str], typer.Argument(help="Jobs to do again.")], as_json: JsonOption = False
) -> int:
    """Do jobs again that failed or were cancelled, as new jobs, and wait for them."""
    from desktop.cli.session import load, run_jobs
    from desktop.runtime import Runtime

    async def submission(runtime: Runtime, batch: str) -> AsyncIterator[Sequence[NewJob]]:
        jobs = [await runtime.queue.find(job_id) for job_id in job_ids]
        yield [await runtime.queue.again(job, batch=batch) for job in jobs]

    return run_jobs(load(), submission, as_json=as_json)


def _cancel(job_ids: Annotated[list[str], typer.Argument(help="Jobs to end.")]) -> int:
    """Cancel jobs, also those that another Safelight runs; returns when they have ended."""
    from desktop.cli.session import cancel_jobs, load

    still_open = asyncio.run(cancel_jobs(load(), job_ids))
    for job_id in still_open:
        typer.echo(f"safelight: job {job_id} has not ended yet; it will end as soon as it can", err=True)
    return ExitCode.SOME_FAILED if still_open else ExitCode.DONE
