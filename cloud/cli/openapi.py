"""`safelight-cloud openapi`."""

import typer

from cloud.main import openapi_text

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    app.command()(openapi)


def openapi() -> None:
    """Print the API's document."""
    typer.echo(openapi_text(), nl=False)
