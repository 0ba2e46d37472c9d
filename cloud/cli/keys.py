"""`safelight-cloud keys`."""

from datetime import timedelta
from typing import Annotated

import typer

from cloud.cli.opening import configure, with_database
from cloud.repositories.database import Database
from cloud.repositories.keys import KeyRecord
from cloud.services.callers import ACCOUNT_SCOPES, Scope
from cloud.services.keys import Keys, NewKey
from cloud.services.users import Users

__all__ = ["register"]

_keys = typer.Typer(no_args_is_help=True, help="API keys, by which programs act for an account.")


def register(app: typer.Typer) -> None:
    app.add_typer(_keys, name="keys")


@_keys.command()
def create(
    name: Annotated[str, typer.Option(help="What the key is for")] = "command line",
    user: Annotated[str | None, typer.Option(help="E-mail address of whose key it is")] = None,
    scope: Annotated[
        list[Scope] | None, typer.Option(help="What it may do; read and write by default")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="Valid for so many days")] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="A limit of its own, beside that of the plan")
    ] = None,
) -> None:
    """Make a key and print it, this once. Without any user yet, the first one is made too."""

    async def work(database: Database) -> NewKey:
        if user is None:
            await Users(database=database).ensure_one()
        return await Keys(database=database).create(
            email=user,
            name=name,
            scopes=scope or ACCOUNT_SCOPES,
            valid_for=None if days is None else timedelta(days=days),
            requests_per_minute=requests_per_minute,
        )

    made = with_database(configure(), work)
    typer.echo(made.text)
    typer.echo(f"key {made.id} for account {made.account_id}; it is not shown again", err=True)


@_keys.command("list")
def list_() -> None:
    """Show the keys, without what is secret of them."""
    for key in with_database(configure(), lambda database: Keys(database=database).all()):
        typer.echo(f"{key.id}  {key.prefix}…  {_condition(key)}  {','.join(key.scopes)}  {key.name}")


@_keys.command()
def revoke(key_id: Annotated[str, typer.Argument(help="The key's id, as `keys list` shows it")]) -> None:
    """End a key's use, at once and everywhere."""
    with_database(configure(), lambda database: Keys(database=database).revoke(key_id))
    typer.echo(f"key {key_id} is revoked")


def _condition(key: KeyRecord) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    if not key.usable:
        return "expired"
    return "never used" if key.last_used_at is None else f"used {key.last_used_at:%Y-%m-%d %H:%M}"
