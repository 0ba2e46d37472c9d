"""Chores in a cluster: ARQ's cron gives each turn to one process.

ARQ's ways shape this: a Redis that restarts ends its worker, so it is started anew; results are
not kept, or a later task of the same id would be swallowed; tasks last milliseconds, so that the
key of a killed worker hides nothing for long; messages are JSON, since a pickle runs code.
"""

import asyncio
import json
from collections.abc import Collection, Sequence
from datetime import UTC
from typing import Any

import structlog
from arq.connections import ArqRedis
from arq.cron import CronJob, cron
from arq.typing import WorkerCoroutine
from arq.worker import Worker

from cloud.clients.redis_link import REDIS_AWAY
from cloud.tasks.chore import Chore, do_chore

__all__ = ["QUEUE_NAME", "run_on_arq"]

_log = structlog.get_logger(__name__)

QUEUE_NAME = "safelight:chores"
_TIMEOUT_S = 30
_RESTART_DELAY_S = 1.0
_LAST_WORDS_S = 5.0
_TAKING_S = 0.1


async def run_on_arq(chores: Sequence[Chore], *, redis_url: str) -> None:
    """Until cancelled."""
    while True:
        try:
            await _run_until_redis_ends(chores, redis_url=redis_url)
        except REDIS_AWAY as error:
            _log.warning("chores_without_redis", error=type(error).__name__)
        await asyncio.sleep(_RESTART_DELAY_S)


async def _run_until_redis_ends(chores: Sequence[Chore], *, redis_url: str) -> None:
    pool = ArqRedis.from_url(redis_url)
    pool.job_serializer, pool.job_deserializer = _serialize, json.loads
    pool.default_queue_name = QUEUE_NAME
    worker = _worker(chores, pool)
    running = asyncio.create_task(worker.async_run(), name="arq")
    try:
        await asyncio.wait([running])
        running.result()
    finally:
        await _ended(worker, running)
        await _finished(tuple(worker.tasks.values()))
        await pool.aclose(close_connection_pool=True)


async def _ended(worker: Worker, task: asyncio.Task[None]) -> None:
    """Redis-py leaves a connection behind where a cancellation meets it unwatching a key, so that no
    task is being taken when it comes; one that comes while it connects it loses: ask until it is heard."""
    worker.allow_pick_jobs = False
    await asyncio.wait([task], timeout=_TAKING_S)
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=0.2)
    if not task.cancelled():
        task.exception()  # what befell it at its end is of no interest


async def _finished(tasks: Collection[asyncio.Task[None]]) -> None:
    """ARQ shields a task's last words to Redis: cancelled meanwhile, they would come, and connect, after
    the pool was closed. A chore takes milliseconds, so that it is waited for instead."""
    if tasks:
        await asyncio.wait(tasks, timeout=_LAST_WORDS_S)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _worker(chores: Sequence[Chore], pool: ArqRedis) -> Worker:
    return Worker(
        cron_jobs=[_cron(chore) for chore in chores],
        redis_pool=pool,
        queue_name=QUEUE_NAME,
        handle_signals=False,
        job_timeout=_TIMEOUT_S,
        keep_result=0,
        max_tries=1,
        job_serializer=_serialize,
        job_deserializer=json.loads,
        timezone=UTC,
        log_results=False,
    )


def _cron(chore: Chore) -> CronJob:
    """Each turn's id holds its time, so that no id comes twice."""
    return cron(
        _task(chore),
        name=f"chore:{chore.name}",
        minute=set(range(0, 60, _step(chore.every_s / 60))),
        second=set(range(0, 60, _step(chore.every_s))) if chore.every_s < 60 else 0,
        timeout=_TIMEOUT_S,
        keep_result=0,
        unique=True,
    )


def _step(every: float) -> int:
    return min(max(1, round(every)), 59)


def _task(chore: Chore) -> WorkerCoroutine:
    async def run(ctx: dict[Any, Any], *args: Any, **kwargs: Any) -> None:  # noqa: ARG001 - as ARQ calls it
        await do_chore(chore)

    return run


def _serialize(message: dict[str, object]) -> bytes:
    return json.dumps(message, default=str).encode()
