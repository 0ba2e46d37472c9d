"""`safelight-cloud secrets`."""

import typer
from cryptography.fernet import Fernet

from cloud.cli.opening import configure, with_context
from cloud.context import ProcessContext
from cloud.factory import Factory
from cloud.services.callers import COMMAND_LINE

__all__ = ["register"]

_secrets = typer.Typer(no_args_is_help=True, help="The keys under which secrets lie in the database.")


def register(app: typer.Typer) -> None:
    app.add_typer(_secrets, name="secrets")


@_secrets.command()
def key() -> None:
    """Make a key for SAFELIGHT_ENCRYPTION_KEYS; it is kept nowhere."""
    typer.echo(Fernet.generate_key().decode())


@_secrets.command()
def rotate() -> None:
    """Seal everything anew under the first key of SAFELIGHT_ENCRYPTION_KEYS.

    Put a new key before the others and restart every process; rotate; then take the others away.
    """

    async def work(context: ProcessContext) -> int:
        return await Factory(context).secrets().rotate(COMMAND_LINE)

    count = with_context(configure(), work)
    typer.echo(f"{count} secrets lie under the first key now; the others can go")
