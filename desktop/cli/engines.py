"""`safelight engines`: what can run jobs here, and whether it answers."""

import asyncio
import json
from dataclasses import asdict

import typer

from desktop.cli.exit_code import ExitCode
from desktop.cli.options import JsonOption
from desktop.views import EngineView

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    app.command("engines")(_engines)


def _engines(as_json: JsonOption = False) -> int:
    """List the engines and whether they can be reached. Exit code 3 when none can."""
    from rich.table import Table

    from desktop.cli.session import load
    from desktop.cli.tables import print_table
    from desktop.runtime import open_runtime

    async def ask() -> tuple[EngineView, ...]:
        async with open_runtime(load()) as runtime:
            return await runtime.engines()

    views = asyncio.run(ask())
    if as_json:
        for view in views:
            typer.echo(json.dumps(asdict(view)))
    else:
        table = Table("Engine", "Reachable", "Detail", box=None)
        for view in views:
            table.add_row(view.name, "yes" if view.reachable else "no", view.detail)
        print_table(table)
    return ExitCode.DONE if any(view.reachable for view in views) else ExitCode.NO_ENGINE
