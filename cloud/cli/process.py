"""The parts of one process, begun and ended together."""

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

import structlog
import typer

from cloud.cli.server import ApiServer
from cloud.clients.telemetry import telemetry
from cloud.context import ProcessContext, open_context
from cloud.factory import Factory
from cloud.migrations.upgrade import newest_version
from cloud.settings import Settings
from cloud.tasks.housekeeping import keep_house
from cloud.worker.process import work

__all__ = ["Parts", "run_process"]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The API is served on `listening`, if there is one, or without `answers` health and metrics alone;
    with `works`, jobs are run."""

    listening: socket.socket | None
    works: bool
    answers: bool = True


async def run_process(settings: Settings, parts: Parts) -> None:
    """Until SIGINT or SIGTERM: then we are no longer ready, requests are answered, jobs end or are given
    back. A second signal makes it quick."""
    stop, hurry = asyncio.Event(), asyncio.Event()
    reports = telemetry(
        otlp_endpoint=settings.otlp_endpoint,
        sentry_dsn=settings.sentry_dsn,
        environment=settings.environment,
    )
    async with (
        _entered(reports),
        open_context(settings, schema_version=newest_version()) as context,
        _stopped_by_signals(stop, hurry),
    ):
        await context.inspector.start()
        await Factory(context).servers().register(settings.comfyui_urls)
        if parts.works and not settings.is_cluster:
            await Factory(context).leading().begin_alone()
            await Factory(context).input_fetcher().begin_alone()
            await Factory(context).webhook_sender().begin_alone()
            await Factory(context).reaping().reap_all()
        _spare_the_collector()
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(Factory(context).publisher().run(), name="publisher")]
            if parts.works:
                sending = Factory(context).webhook_sender().run(poll_s=settings.reap_every_s)
                fetching = Factory(context).input_fetcher().run(poll_s=settings.reap_every_s)
                beside.append(group.create_task(keep_house(context), name="chores"))
                beside.append(group.create_task(sending, name="webhooks"))
                beside.append(group.create_task(fetching, name="fetcher"))
            async with asyncio.TaskGroup() as serving:
                if parts.listening is not None:
                    answering = _serve(context, parts.listening, stop, hurry, whole=parts.answers)
                    serving.create_task(answering, name="api")
                if parts.works:
                    serving.create_task(work(context, stop=stop, hurry=hurry), name="worker")
            for task in beside:
                task.cancel()
    _log.info("stopped")


@contextlib.asynccontextmanager
async def _entered(reports: contextlib.AbstractContextManager[None]) -> AsyncIterator[None]:
    with reports:
        yield


async def _serve(
    context: ProcessContext,
    listening: socket.socket,
    stop: asyncio.Event,
    hurry: asyncio.Event,
    *,
    whole: bool,
) -> None:
    announce = partial(_announce, context.settings) if whole else _announce_nothing
    server = ApiServer(context, announce=announce, whole=whole)
    _spare_the_collector()
    serving = asyncio.create_task(server.serve(sockets=[listening]), name="uvicorn")
    hurrying = asyncio.create_task(_hurried(server, hurry), name="hurry-api")
    await stop.wait()
    context.streams.is_closing = True
    await _waited(hurry, context.settings.stop_notice_s)
    server.should_exit = True
    await serving
    hurrying.cancel()


def _spare_the_collector() -> None:
    """What stands now stays to the end. Each full collection would look through all of it, some hundred
    thousand objects, while nobody is answered."""
    gc.collect()
    gc.freeze()


async def _hurried(server: ApiServer, hurry: asyncio.Event) -> None:
    await hurry.wait()
    server.should_exit = server.force_exit = True


async def _waited(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


def _announce_nothing() -> None:
    """A process that only works tells its address to nobody."""


def _announce(settings: Settings) -> None:
    typer.echo(f"Safelight cloud at {settings.base_url}")
    typer.echo("Make a key with: safelight-cloud keys create", err=True)
    _log.info("serving", url=settings.base_url, database="postgresql" if settings.is_cluster else "sqlite")


@contextlib.asynccontextmanager
async def _stopped_by_signals(stop: asyncio.Event, hurry: asyncio.Event) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()

    def heard() -> None:
        if stop.is_set():
            _log.warning("hurried")
            hurry.set()
        else:
            _log.info("stopping")
            stop.set()

    before = {
        number: signal.signal(number, lambda *_: loop.call_soon_threadsafe(heard))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
