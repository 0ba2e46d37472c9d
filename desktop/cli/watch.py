"""`safelight watch`: a hot folder, until interrupted or, with --once, until all is done."""

from pathlib import Path
from typing import Annotated

import typer

from desktop.cli.options import (
    DropGpsOption,
    EngineOption,
    FormatOption,
    JsonOption,
    QualityOption,
    ServerOption,
    SetOption,
)
from desktop.store.job import EngineChoice

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    app.command("watch")(_watch)


def _watch(
    source: Annotated[Path | None, typer.Argument(help="The folder to watch.")] = None,
    *,
    preset: Annotated[
        str | None, typer.Option("--preset", metavar="ID", help="See `safelight presets list`.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The output folder.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE.toml", help="The hot folder, written down.")
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="End when every file is done, failed or waiting.")
    ] = False,
    new_only: Annotated[
        bool, typer.Option("--new-only", help="Leave alone what is there at the first start.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Run every file once more, as after a change of values.")
    ] = False,
    accept_new_source: Annotated[
        bool,
        typer.Option(
            "--accept-new-source",
            help="Take the folder that is there now for the source, where another one was before.",
        ),
    ] = False,
    exclude: Annotated[
        list[str] | None, typer.Option("--exclude", metavar="FOLDER", help="A subfolder to leave out.")
    ] = None,
    values: SetOption = None,
    format_: FormatOption = None,
    quality: QualityOption = None,
    drop_gps: DropGpsOption = False,
    engine: EngineOption = EngineChoice.AUTO,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> int:
    """Apply a preset to every picture that arrives in a folder; each version of each file once."""
    from desktop.cli.watching import WatchOrder, run_watch

    order = WatchOrder(
        source=source,
        preset=preset,
        out=out,
        config=config,
        new_only=new_only,
        again=again,
        accept_new_source=accept_new_source,
        exclude=tuple(exclude or ()),
        values=tuple(values or ()),
        suffix=format_,
        quality=quality,
        drop_gps=drop_gps,
        engine=engine,
        server=server,
    )
    return run_watch(order, once=once, as_json=as_json)
