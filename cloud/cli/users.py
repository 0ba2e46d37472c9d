"""`safelight-cloud users`."""

from typing import Annotated

import typer

from cloud.cli.opening import configure, with_database
from cloud.services.users import Users

__all__ = ["register"]

_users = typer.Typer(no_args_is_help=True, help="The people who use this cloud.")


def register(app: typer.Typer) -> None:
    app.add_typer(_users, name="users")


@_users.command()
def create(
    email: Annotated[str, typer.Argument(help="The person's e-mail address")],
    name: Annotated[str | None, typer.Option(help="How the person is called")] = None,
) -> None:
    """Add a person, with an account of their own."""
    user = with_database(
        configure(), lambda database: Users(database=database).create(email=email, name=name or email)
    )
    typer.echo(f"{user.email}  account {user.account_id}")


@_users.command("list")
def list_() -> None:
    """Show who there is."""
    for user in with_database(configure(), lambda database: Users(database=database).all()):
        typer.echo(f"{user.email}  {user.name}  account {user.account_id}  since {user.created_at:%Y-%m-%d}")
