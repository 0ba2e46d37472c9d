"""`safelight-cloud serve` and `safelight-cloud worker`: processes that stay."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Annotated

import typer
import uvicorn

from cloud.cli.opening import configure, ensure_migrated, only_process
from cloud.cli.process import Parts, run_process
from cloud.cli.server import listening_socket
from cloud.settings import Settings

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    app.command()(serve)
    app.command()(worker)


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="0 for any that is free")] = None,
    worker: Annotated[bool, typer.Option(help="Run jobs in this process too")] = True,
) -> None:
    """Serve the API; on one box, this is the whole cloud."""
    settings = configure(host=host, port=port)
    with listening_socket(settings.host, settings.port) as listening:
        settings = settings.model_copy(update={"port": listening.getsockname()[1]})
        with only_process(settings), asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(ensure_migrated(settings))
            runner.run(run_process(settings, Parts(listening=listening, works=worker)))


def worker() -> None:
    """Run jobs beside other processes that serve the API."""
    settings = configure()
    with _metrics_socket(settings) as listening, only_process(settings):
        parts = Parts(listening=listening, works=True, answers=False)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(ensure_migrated(settings))
            runner.run(run_process(settings, parts))


def _metrics_socket(settings: Settings) -> contextlib.AbstractContextManager[socket.socket | None]:
    if settings.metrics_port is None:
        return contextlib.nullcontext()
    return listening_socket(settings.host, settings.metrics_port)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The quickest loop that is installed."""
    return uvicorn.Config("cloud", log_config=None).get_loop_factory()
