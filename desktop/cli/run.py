"""`safelight run`: a ComfyUI graph as it is."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from desktop.cli.options import EngineOption, JsonOption, ServerOption, split_pairs
from desktop.store.job import EngineChoice, NewJob

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    app.command("run")(_run)


def _run(
    graph_file: Annotated[Path, typer.Argument(metavar="GRAPH.json", help="A ComfyUI workflow.")],
    *,
    out: Annotated[Path, typer.Option("--out", help="The output folder.")],
    inputs: Annotated[
        list[str] | None, typer.Option("--input", metavar="NODE=FILE", help="The file for a loader node.")
    ] = None,
    input_dir: Annotated[
        Path | None, typer.Option("--input-dir", help="Where the files are that the graph names.")
    ] = None,
    engine: EngineOption = EngineChoice.AUTO,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> int:
    """Run a graph; files that it names are looked for in --input-dir, else beside it."""
    from desktop.cli.graph_file import read_graph
    from desktop.cli.session import load, require_engine, run_jobs
    from desktop.runtime import Runtime
    from desktop.runtime.submission import graph_job

    settings = load()
    given = {node: Path(name) for node, name in split_pairs(inputs or (), option="--input").items()}

    async def submission(runtime: Runtime, batch: str) -> AsyncIterator[Sequence[NewJob]]:
        graph = await read_graph(graph_file, settings=settings, engine=engine, server=server)
        new = await asyncio.to_thread(
            graph_job,
            graph,
            graph_file=graph_file,
            given=given,
            input_folder=input_dir,
            out_folder=out.absolute(),
            engine=engine,
            server=server,
            batch=batch,
        )
        await require_engine(runtime, engine, server=server, preset=None, graph=graph)
        yield (new,)

    return run_jobs(settings, submission, as_json=as_json)
