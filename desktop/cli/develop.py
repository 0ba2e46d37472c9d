"""`safelight develop`: a preset applied to files and folders."""

from collections.abc import AsyncIterator, Sequence
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
    output_policy,
    parse_values,
)
from desktop.store.job import EngineChoice, NewJob

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    app.command("develop")(_develop)


def _develop(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Pictures, or folders of pictures.")],
    *,
    preset: Annotated[str, typer.Option("--preset", metavar="ID", help="See `safelight presets list`.")],
    values: SetOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="The output folder.")] = None,
    format_: FormatOption = None,
    quality: QualityOption = None,
    drop_gps: DropGpsOption = False,
    engine: EngineOption = EngineChoice.AUTO,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> int:
    """Apply a preset to files; folders are walked and keep their subfolders."""
    from desktop.cli.session import load, require_engine, run_jobs
    from desktop.runtime import Runtime

    settings = load()
    policy = output_policy(format_, quality, drop_gps=drop_gps or settings.drop_gps)

    async def submission(runtime: Runtime, batch: str) -> AsyncIterator[Sequence[NewJob]]:
        found = await runtime.preset(preset)
        seat = await require_engine(runtime, engine, server=server, preset=found, graph=None)
        if seat.engine.name == EngineChoice.CLOUD:
            from desktop.cli.cloud_price import tell_price

            await tell_price(seat.engine, preset, as_json=as_json)
        async for group in runtime.develop_jobs(
            paths,
            preset_id=preset,
            values=parse_values(found.manifest, values or ()),
            out_folder=(out or settings.output_dir).absolute(),
            engine=engine,
            server=server,
            policy=policy,
            batch=batch,
        ):
            yield group

    return run_jobs(settings, submission, as_json=as_json)
