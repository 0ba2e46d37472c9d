"""`safelight-cloud jobs`."""

from typing import Annotated

import typer

from cloud.cli.opening import configure, with_context
from cloud.factory import Factory
from cloud.services.callers import COMMAND_LINE

__all__ = ["register"]

_jobs = typer.Typer(no_args_is_help=True, help="The jobs of all accounts.")


def register(app: typer.Typer) -> None:
    app.add_typer(_jobs, name="jobs")


@_jobs.callback()
def _group() -> None:
    """The jobs of all accounts."""


@_jobs.command()
def why(job_id: Annotated[str, typer.Argument(help="The job's id")]) -> None:
    """Say why a job is not done yet."""
    answer = with_context(configure(), lambda context: Factory(context).why().any_job(COMMAND_LINE, job_id))
    typer.echo(f"{answer.job} is {answer.state}")
    for reason in answer.reasons:
        typer.echo(f"- {reason.message}")
