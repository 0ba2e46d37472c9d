"""One hot folder under the command line: set up, run, reported."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from desktop.cli.exit_code import ExitCode
from desktop.cli.options import output_policy, parse_values
from desktop.cli.report import Report, open_report, undelivered
from desktop.cli.session import load, require_engine
from desktop.cli.watch_config import WatchConfig, load_watch_config
from desktop.jobs.queue import JobChange
from desktop.runtime import Runtime, open_runtime
from desktop.settings import Settings
from desktop.store.job import EngineChoice
from desktop.watching.hot_folder import HotFolder, set_up_hot_folder
from desktop.watching.notices import Notice, Notify
from desktop.watching.settle import Patience
from desktop.watching.tally import Tally
from desktop.watching.watch import FolderWatch, open_watch
from shared.errors import UsageError
from shared.legible import legible
from shared.presets.values import resolve_values

__all__ = ["WatchOrder", "run_watch"]

_ONCE_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOrder:
    """What was typed. Options stand above the lines of the `config` file."""

    source: Path | None
    preset: str | None
    out: Path | None
    config: Path | None
    new_only: bool
    again: bool
    accept_new_source: bool
    exclude: tuple[str, ...]
    values: tuple[str, ...]
    suffix: str | None
    quality: int | None
    drop_gps: bool
    engine: EngineChoice
    server: str | None


def run_watch(order: WatchOrder, *, once: bool, as_json: bool) -> ExitCode:
    settings = load()
    config = _config(order)
    return asyncio.run(_run(settings, order, config, once=once, as_json=as_json))


async def _run(
    settings: Settings, order: WatchOrder, config: WatchConfig, *, once: bool, as_json: bool
) -> ExitCode:
    report = open_report(as_json=as_json)
    try:
        async with open_runtime(
            settings, patience_s=_ONCE_PATIENCE_S if once else None, prestart=not once
        ) as runtime:
            folder = await _hot_folder(runtime, settings, order, config)
            await require_engine(
                runtime, folder.engine, server=folder.server, preset=folder.preset, graph=None
            )
            runtime.queue.subscribe(_teller(folder, report))
            async with open_watch(
                folder,
                database=runtime.database,
                queue=runtime.queue,
                locks=settings.paths.holders,
                notify=_notifier(as_json=as_json),
                accept_new_source=order.accept_new_source,
            ) as watch:
                tally = await _until_interrupted(watch, once=once)
    finally:
        report.close()
    return ExitCode.DONE if tally.is_good else ExitCode.SOME_FAILED


async def _until_interrupted(watch: FolderWatch, *, once: bool) -> Tally:
    """An interrupt is how a watch is meant to end: what is open stays in the journal."""
    if once:
        return await watch.run_once()
    running = asyncio.create_task(watch.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows raises KeyboardInterrupt instead
            loop.add_signal_handler(number, running.cancel)
    await asyncio.wait([running])
    if not running.cancelled():
        running.result()
    return Tally()


def _config(order: WatchOrder) -> WatchConfig:
    """Raises UsageError for what is missing."""
    if order.config is not None:
        return _overridden(load_watch_config(order.config), order)
    if order.source is None or order.preset is None or order.out is None:
        raise UsageError("name SOURCE, --preset ID and --out DIR, or a --config FILE.toml", field="source")
    return _overridden(WatchConfig(source=order.source, preset=order.preset, out=order.out), order)


def _overridden(config: WatchConfig, order: WatchOrder) -> WatchConfig:
    given = {
        "source": order.source,
        "preset": order.preset,
        "out": order.out,
        "exclude": order.exclude or None,
        "format": order.suffix,
        "quality": order.quality,
        "engine": None if order.engine is EngineChoice.AUTO else order.engine,
        "server": order.server,
        "new_only": order.new_only or None,
        "drop_gps": order.drop_gps or None,
    }
    return config.model_copy(update={name: value for name, value in given.items() if value is not None})


async def _hot_folder(
    runtime: Runtime, settings: Settings, order: WatchOrder, config: WatchConfig
) -> HotFolder:
    preset = await runtime.preset(config.preset)
    values = {**config.values, **parse_values(preset.manifest, order.values)}
    return await asyncio.to_thread(
        lambda: set_up_hot_folder(
            source=config.source,
            out=config.out,
            preset=preset,
            values=resolve_values(preset.manifest, values),
            engine=config.engine,
            server=config.server,
            output_policy=output_policy(
                config.format, config.quality, drop_gps=config.drop_gps or settings.drop_gps
            ),
            exclude=config.exclude,
            new_only=config.new_only,
            again=order.again,
            patience=Patience(
                quiet_local_s=config.quiet_local_s,
                quiet_network_s=config.quiet_network_s,
                undecodable_s=config.undecodable_s,
            ),
        )
    )


def _teller(folder: HotFolder, report: Report) -> Callable[[JobChange], None]:
    known: set[str] = set()

    def tell(change: JobChange) -> None:
        job = change.job
        if job.order.batch != folder.id or change.event is None:
            return
        if job.id not in known:
            known.add(job.id)
            report.add()
        report.tell(job.order.source_name, change.event, problem=undelivered(job, change.event))

    return tell


def _notifier(*, as_json: bool) -> Notify:
    def notify(notice: Notice) -> None:
        if as_json:
            line = json.dumps({"notice": notice.kind, "message": notice.message, "path": notice.path})
        else:
            line = f"safelight: {legible(notice.message)}"
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    return notify
