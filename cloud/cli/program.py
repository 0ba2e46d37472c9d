"""The commands together, and what a failure looks like."""

import sys

import typer

from cloud.cli import (
    artifacts,
    credits,
    doctor,
    jobs,
    keys,
    migrate,
    openapi,
    processes,
    secrets,
    servers,
    users,
)
from shared.errors import SafelightError
from shared.legible import legible

__all__ = ["app", "main"]

app = typer.Typer(
    name="safelight-cloud",
    help="The Safelight cloud: on one box with nothing else, or as a cluster on PostgreSQL and Redis.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
processes.register(app)
migrate.register(app)
users.register(app)
keys.register(app)
credits.register(app)
servers.register(app)
secrets.register(app)
jobs.register(app)
artifacts.register(app)
doctor.register(app)
openapi.register(app)


def main() -> None:
    """One sentence and exit code 2 for what the caller can mend, 1 for the rest."""
    unreadable = next((word for word in sys.argv[1:] if not word.isprintable()), None)
    if unreadable is not None:
        sys.stderr.write(
            f"safelight-cloud: {unreadable!a} holds what cannot be printed; write one line of UTF-8\n"
        )
        sys.exit(2)
    try:
        app()
    except SafelightError as error:
        sys.stderr.write(f"safelight-cloud: {legible(error.message)}\n")
        sys.exit(1 if error.retryable else 2)
    except KeyboardInterrupt:
        sys.exit(130)
