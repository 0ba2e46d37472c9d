"""`safelight-cloud users`."""

from typing import Annotated

import typer

from cloud.cli.opening import configure, with_context, with_database
from cloud.context import ProcessContext
from cloud.factory import Factory
from cloud.services.callers import COMMAND_LINE
from cloud.services.users import Users
from shared.api.accounts import Plan

__all__ = ["register"]

_users = typer.Typer(no_args_is_help=True, help="The people who use this cloud.")


def register(app: typer.Typer) -> None:
    app.add_typer(_users, name="users")


@_users.command()
def create(
    email: Annotated[str, typer.Argument(help="The person's e-mail address")],
    name: Annotated[str | None, typer.Option(help="How the person is called")] = None,
    plan: Annotated[Plan, typer.Option(help="The plan of the account")] = Plan.FREE,
) -> None:
    """Add a person, with an account of their own."""
    user = with_database(
        configure(),
        lambda database: Users(database=database).create(email=email, name=name or email, plan=plan),
    )
    typer.echo(f"{user.email}  account {user.account_id}  plan {user.plan}")


@_users.command("list")
def list_() -> None:
    """Show who there is."""
    for user in with_database(configure(), lambda database: Users(database=database).all()):
        since = f"since {user.created_at:%Y-%m-%d}"
        pool = "" if user.pool is None else f"  pool {user.pool}"
        typer.echo(f"{user.email}  {user.name}  account {user.account_id}  plan {user.plan}{pool}  {since}")


@_users.command()
def plan(
    email: Annotated[str, typer.Argument(help="The person's e-mail address")],
    name: Annotated[Plan, typer.Argument(help="The plan")],
) -> None:
    """Give the person's account a plan."""

    async def work(context: ProcessContext) -> None:
        factory = Factory(context)
        await factory.accounts().set_plan(COMMAND_LINE, await factory.users().find(email), name)

    with_context(configure(), work)
    typer.echo(f"{email} has the plan {name}")


@_users.command()
def pool(
    email: Annotated[str, typer.Argument(help="The person's e-mail address")],
    name: Annotated[str | None, typer.Argument(help="The pool; without one, as presets and plan say")] = None,
) -> None:
    """Have the person's account use the servers of one pool, from the next job on."""

    async def work(context: ProcessContext) -> None:
        factory = Factory(context)
        await factory.accounts().set_pool(COMMAND_LINE, await factory.users().find(email), name)

    with_context(configure(), work)
    typer.echo(f"{email} uses the pool {name}" if name else f"{email} has no pool of its own")


@_users.command("allow-graphs")
def allow_graphs(
    email: Annotated[str, typer.Argument(help="The person's e-mail address")],
    allowed: Annotated[bool, typer.Option("--yes/--no", help="Whether they may")] = True,
) -> None:
    """Let the person's account send graphs of its own, where its plan has them."""

    async def work(context: ProcessContext) -> None:
        factory = Factory(context)
        await factory.accounts().allow_graphs(
            COMMAND_LINE, await factory.users().find(email), allowed=allowed
        )

    with_context(configure(), work)
    typer.echo(f"{email} may {'' if allowed else 'not '}send graphs")
