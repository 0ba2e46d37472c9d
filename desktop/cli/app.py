"""The command line as a whole: its commands, its errors, its exit codes."""

import sys

import click
import typer

from desktop.cli import develop, doctor, engines, jobs, presets, run, watch
from desktop.cli.exit_code import ExitCode
from shared.errors import SafelightError, UsageError

__all__ = ["create_app", "run_command"]


def create_app() -> typer.Typer:
    app = typer.Typer(
        name="safelight",
        help="Develops pictures: a preset applied to every file of a folder.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    for command in (develop, watch, run, presets, jobs, engines, doctor):
        command.register(app)
    return app


def run_command() -> int:
    """Run what the arguments ask for and return the exit code; errors go to stderr as one sentence."""
    try:
        result = create_app()(standalone_mode=False)
    except click.ClickException as error:
        error.show(sys.stderr)
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except SafelightError as error:
        sys.stderr.write(f"safelight: {error.message}\n")
        return _exit_code(error)
    except BrokenPipeError:
        return ExitCode.SOME_FAILED
    return int(result or 0)


def _exit_code(error: SafelightError) -> ExitCode:
    if error.code == "engine_unavailable":
        return ExitCode.NO_ENGINE
    return ExitCode.USAGE if isinstance(error, UsageError) else ExitCode.SOME_FAILED
