"""`safelight-cloud migrate`."""

import asyncio

import typer

from cloud.cli import opening
from cloud.migrations.upgrade import newest_version

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    app.command()(migrate)


def migrate() -> None:
    """Bring the database to the version of this program; doing it twice is no error."""
    settings = opening.configure()
    asyncio.run(opening.migrate(settings))
    typer.echo(f"the database has version {newest_version()}")
