"""`safelight-cloud doctor`."""

import asyncio

import typer

from cloud.cli.opening import configure
from cloud.factory import Factory, open_context
from cloud.migrations.upgrade import newest_version
from cloud.services.health import Readiness
from cloud.settings import Settings

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor() -> None:
    """Say what works and what to do about the rest; exit code 1 if the cloud cannot run."""
    settings = configure(log_level="error")
    found = asyncio.run(_look(settings))
    place = "PostgreSQL" if settings.is_cluster else str(settings.sqlite_path)
    _say(found.database, f"database: {place}", "start it, or correct SAFELIGHT_DATABASE_URL")
    _say(found.migrations, f"tables: version {newest_version()}", "run `safelight-cloud migrate`")
    _say(found.storage, f"storage: {settings.storage_folder}", "make the folder writable")
    _say(
        found.queue,
        "queue: " + ("Redis" if settings.redis_url else "in this process"),
        "start Redis; until then jobs begin with some delay",
    )
    typer.echo(f"  address: {settings.base_url}")
    if not found.ready:
        raise typer.Exit(1)


async def _look(settings: Settings) -> Readiness:
    async with open_context(settings, schema_version=newest_version()) as context:
        return await Factory(context).health().look()


def _say(good: bool, what: str, remedy: str) -> None:
    typer.echo(f"{'✓' if good else '✗'} {what}" + ("" if good else f" — {remedy}"))
