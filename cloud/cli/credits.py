"""`safelight-cloud credits`."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from cloud.cli.opening import configure, with_context
from cloud.context import ProcessContext
from cloud.factory import Factory
from cloud.repositories.credits import Balance

__all__ = ["register"]

_T = TypeVar("_T")

_credits = typer.Typer(no_args_is_help=True, help="What accounts may spend on jobs.")
_Email = Annotated[str, typer.Argument(help="The person's e-mail address")]
_Reason = Annotated[str, typer.Option(help="Why; it stands in the account's entries")]


def register(app: typer.Typer) -> None:
    app.add_typer(_credits, name="credits")


@_credits.command()
def show(email: _Email) -> None:
    """What the person's account has."""

    async def work(factory: Factory) -> Balance:
        user = await factory.users().find(email)
        return await factory.credits().balance(user.account_id, user.plan)

    typer.echo(_line(_with_factory(work)))


@_credits.command()
def grant(
    email: _Email,
    amount: Annotated[int, typer.Argument(min=1, help="How many credits")],
    reason: _Reason = "top-up",
) -> None:
    """Top up: these never lapse."""

    async def work(factory: Factory) -> Balance:
        user = await factory.users().find(email)
        return await factory.credits().top_up(user.account_id, user.plan, amount, note=reason)

    typer.echo(_line(_with_factory(work)))


@_credits.command(context_settings={"ignore_unknown_options": True})
def adjust(
    email: _Email,
    amount: Annotated[int, typer.Argument(help="How many more, or below zero how many less")],
    reason: _Reason,
) -> None:
    """Give back, or take away what is there."""

    async def work(factory: Factory) -> Balance:
        user = await factory.users().find(email)
        return await factory.credits().adjust(user.account_id, user.plan, amount, note=reason)

    typer.echo(_line(_with_factory(work)))


@_credits.command()
def refund(job_id: Annotated[str, typer.Argument(help="The job's id")], reason: _Reason) -> None:
    """Give back, once, what a completed job was charged."""

    async def work(factory: Factory) -> int:
        return await factory.credits().refund(job_id, note=reason)

    typer.echo(f"{_with_factory(work)} credits for job {job_id} are given back")


@_credits.command()
def audit() -> None:
    """Whether all entries add up to the balances and the jobs; exit code 1 if they do not."""
    found = _with_factory(lambda factory: factory.credit_audit().findings())
    for finding in found:
        typer.echo(f"✗ {finding.what}: account {finding.account_id}  job {finding.job_id or '-'}")
    if found:
        raise typer.Exit(1)
    typer.echo("✓ every entry adds up")


def _with_factory(work: Callable[[Factory], Awaitable[_T]]) -> _T:
    async def with_context_of(context: ProcessContext) -> _T:
        return await work(Factory(context))

    return with_context(configure(), with_context_of)


def _line(balance: Balance) -> str:
    return (
        f"{balance.available} credits: {balance.granted} granted for {balance.period}, "
        f"{balance.topped_up} topped up; {balance.reserved} reserved"
    )
