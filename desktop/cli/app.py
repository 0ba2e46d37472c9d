"""The command line as a whole: its commands, its errors, its exit codes."""

import sys
from importlib import metadata
from typing import Annotated

import typer

from desktop.cli import develop, doctor, engines, jobs, presets, run, watch
from desktop.cli.exit_code import ExitCode
from shared.engines.base import EngineUnavailable
from shared.errors import SafelightError, UsageError
from shared.legible import legible

__all__ = ["create_app", "run_command"]


def create_app() -> typer.Typer:
    """Commands return their exit code."""
    app = typer.Typer(
        name="safelight",
        help="Develops pictures: a preset applied to every file of a folder. "
        "Without a command, or with files and folders alone, the window opens.",
        no_args_is_help=True,
        invoke_without_command=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        result_callback=_exit_with,
    )
    app.callback()(_common)
    for command in (develop, watch, run, presets, jobs, engines, doctor):
        command.register(app)
    return app


def run_command() -> int:
    """Run what the arguments ask for and return the exit code; errors go to stderr as one sentence."""
    try:
        create_app()(prog_name="safelight")
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else ExitCode.DONE
    except SafelightError as error:
        sys.stderr.write(f"safelight: {legible(error.message)}\n")
        return _exit_code(error)
    return ExitCode.DONE


def _common(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(f"safelight {metadata.version('safelight')}")
        raise typer.Exit


def _exit_with(code: int | None, **_: bool) -> None:
    raise typer.Exit(code or 0)


def _exit_code(error: SafelightError) -> ExitCode:
    if isinstance(error, EngineUnavailable):
        return ExitCode.NO_ENGINE
    return ExitCode.USAGE if isinstance(error, UsageError) else ExitCode.SOME_FAILED
