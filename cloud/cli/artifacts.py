"""`safelight-cloud artifacts`: whether everything that should be stored is, and nothing else."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import typer

from cloud.cli.opening import configure, ensure_migrated
from cloud.context import open_context
from cloud.factory import Factory
from cloud.migrations.upgrade import newest_version
from cloud.services.collection import Collection
from cloud.settings import Settings

__all__ = ["register"]

_T = TypeVar("_T")
_artifacts = typer.Typer(no_args_is_help=True, help="The stored files of all accounts.")


def register(app: typer.Typer) -> None:
    app.add_typer(_artifacts, name="artifacts")


@_artifacts.command()
def audit() -> None:
    """Compare what is known with what is stored; exit code 1 if bytes are missing. Changes nothing."""
    found = _with_collection(configure(), lambda collection: collection.audit())
    for word, keys in (("missing", found.missing), ("stray", found.strays)):
        for key in keys:
            typer.echo(f"{word}  account {key.account_id}  {key.digest}")
    typer.echo(f"{found.artifacts} artifacts, {len(found.missing)} missing, {len(found.strays)} strays")
    if found.missing:
        raise typer.Exit(1)


@_artifacts.command()
def sweep() -> None:
    """Delete what its plan keeps no longer, and bytes that belong to no artifact."""

    async def work(collection: Collection) -> tuple[int, int]:
        return await collection.collect(), await collection.sweep()

    collected, swept = _with_collection(configure(), work)
    typer.echo(f"{collected} artifacts were kept long enough, {swept} files belonged to none")


def _with_collection(settings: Settings, work: Callable[[Collection], Awaitable[_T]]) -> _T:
    async def run() -> _T:
        await ensure_migrated(settings)
        async with open_context(settings, schema_version=newest_version()) as context:
            return await work(Factory(context).collection())

    return asyncio.run(run())
