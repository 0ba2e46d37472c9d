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
    found, problem = asyncio.run(_look(settings))
    place = "PostgreSQL" if settings.is_cluster else str(settings.sqlite_path)
    _say(found.database, f"database: {place}", "start it, or correct SAFELIGHT_DATABASE_URL")
    _say(found.migrations, f"tables: version {newest_version()}", "run `safelight-cloud migrate`")
    _say(problem is None, f"storage: {_storage(settings)}", problem or "")
    _say(
        found.queue,
        "queue: " + ("Redis" if settings.redis_url else "in this process"),
        "start Redis; until then jobs begin with some delay",
    )
    typer.echo(f"  address: {settings.base_url}")
    if not found.ready or problem is not None:
        raise typer.Exit(1)


async def _look(settings: Settings) -> tuple[Readiness, str | None]:
    """What answers, and what is wrong with the storage."""
    async with open_context(settings, schema_version=newest_version()) as context:
        health = Factory(context).health()
        return await health.look(), await health.storage_problem()


def _storage(settings: Settings) -> str:
    place = (settings.storage_url or "").partition("?")[0]
    return place if settings.is_stored_in_s3 else str(settings.storage_folder)


def _say(good: bool, what: str, remedy: str) -> None:
    typer.echo(f"{'✓' if good else '✗'} {what}" + ("" if good else f" — {remedy}"))
