"""Jobs of the journal as text: a line of JSON, a table, a sheet."""

import json
import os

import typer
from rich.table import Table

from desktop.cli.tables import print_table
from desktop.store.job import Job, PresetRecipe
from desktop.store.waiting import WaitingFile
from shared.legible import legible

__all__ = ["print_job_line", "print_job_sheet", "print_job_table", "print_waiting_line"]


def print_job_line(job: Job) -> None:
    """One JSON object on one line of stdout."""
    facts = {
        "id": job.id,
        "state": job.state,
        "delivery": job.delivery,
        "delivery_reason": job.delivery_reason,
        "source": str(job.order.source),
        "preset": _preset(job),
        "engine": job.engine,
        "attempt": job.attempt,
        "error": None if job.error is None else {"code": job.error.code, "message": job.error.message},
        "outputs": [str(item.path) for item in job.outputs if item.path is not None],
        "retry_of": job.order.retry_of,
        "created_at": job.created_at.isoformat(),
        "finished_at": None if job.finished_at is None else job.finished_at.isoformat(),
    }
    typer.echo(json.dumps(facts))


def print_waiting_line(file: WaitingFile) -> None:
    typer.echo(json.dumps({"waiting": str(file.source), "preset": file.preset_id, "reason": file.reason}))


def print_job_table(jobs: tuple[Job, ...], waiting: tuple[WaitingFile, ...] = ()) -> None:
    table = Table("Job", "State", "Source", "Preset", "When", "Trouble", box=None)
    for file in waiting:
        table.add_row("-", "waits", legible(file.source.name), file.preset_id, "", legible(file.reason))
    for job in jobs:
        table.add_row(
            job.id[:8],
            job.state if job.delivery != "blocked" else f"{job.state}, {job.delivery}",
            legible(job.order.source_name),
            _preset(job) or "graph",
            job.created_at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
            legible(_trouble(job)),
        )
    print_table(table)


def print_job_sheet(job: Job) -> None:
    facts = {
        "job": job.id,
        "state": job.state,
        "delivery": f"{job.delivery}{f': {job.delivery_reason}' if job.delivery_reason else ''}",
        "source": os.fspath(job.order.source),
        "preset": _preset(job) or "graph",
        "engine": job.engine or job.order.engine,
        "attempt": str(job.attempt),
        "retry of": job.order.retry_of or "",
        "trouble": _trouble(job),
        **{f"output {number}": str(item.path) for number, item in enumerate(job.outputs) if item.path},
    }
    for name, value in facts.items():
        if value:
            typer.echo(f"{name:>10}  {legible(value)}")


def _preset(job: Job) -> str | None:
    recipe = job.order.recipe
    return f"{recipe.preset_id} {recipe.version}" if isinstance(recipe, PresetRecipe) else None


def _trouble(job: Job) -> str:
    if job.error is not None:
        return job.error.message
    return job.delivery_reason or ""
