"""What a worker process does with its seats, from its start to its drain."""

import asyncio
import os
import socket
from collections.abc import Mapping, Sequence

import structlog

from cloud.clients.blob import BlobStore
from cloud.clients.broadcast import Broadcast, Message
from cloud.clients.queue import Queue
from cloud.factory import Factory, ProcessContext
from cloud.repositories.claims import Claim
from cloud.services.attempts import AttemptRules, Attempts
from cloud.services.waiting import Waiting
from cloud.worker.inputs import InputFiles
from cloud.worker.lane_worker import LaneWorker
from cloud.worker.passing import PassingEvent
from cloud.worker.run import AttemptRunner
from cloud.worker.saving import OutputSaver
from cloud.worker.seat import Seat
from cloud.worker.seats import open_seats
from shared.api.events import event_text
from shared.errors import TransientError
from shared.ids import new_id
from shared.jobs.events import Preview
from shared.presets.bundle import Preset

__all__ = ["run_worker", "work", "worker_name"]

_log = structlog.get_logger(__name__)


async def work(context: ProcessContext, *, stop: asyncio.Event, grace_s: float = 20.0) -> None:
    """A worker with the engines of the settings, until `stop` is set and it has drained."""
    factory = Factory(context)
    async with open_seats(context.settings) as seats:
        await run_worker(
            name=worker_name(),
            seats=seats,
            attempts=factory.attempts(),
            waiting=factory.waiting(),
            rules=factory.attempt_rules(),
            queue=context.queue,
            broadcast=context.broadcast,
            blobs=context.blobs,
            presets=context.presets,
            stop=stop,
            grace_s=grace_s,
            poll_s=context.settings.poll_every_s,
        )


async def run_worker(
    *,
    name: str,
    seats: Sequence[Seat],
    attempts: Attempts,
    waiting: Waiting,
    rules: AttemptRules,
    queue: Queue,
    broadcast: Broadcast,
    blobs: BlobStore,
    presets: Mapping[str, Preset],
    stop: asyncio.Event,
    grace_s: float = 20.0,
    poll_s: float = 1.0,
) -> None:
    """Returns once `stop` is set and every attempt has ended or was given back."""

    async def tell(claim: Claim, event: PassingEvent) -> None:
        await broadcast.publish(_message(claim, event))

    _log.info("worker_started", worker=name, seats=[seat.engine.name for seat in seats])
    async with asyncio.TaskGroup() as group:
        for seat in seats:
            runner = AttemptRunner(
                seat=seat,
                attempts=attempts,
                inputs=InputFiles(blobs=blobs, presets=presets),
                saver=OutputSaver(blobs=blobs),
                tell=tell,
            )
            lanes = LaneWorker(
                name=name,
                seat=seat,
                runner=runner,
                attempts=attempts,
                waiting=waiting,
                rules=rules,
                queue=queue,
                presets=presets,
                grace_s=grace_s,
                poll_s=poll_s,
            )
            group.create_task(lanes.work(stop), name=f"seat-{seat.engine.name}")
    try:
        await waiting.leave_seats(name)
    except TransientError as error:
        _log.warning("seats_not_left", error=error.code)
    _log.info("worker_stopped", worker=name)


def worker_name() -> str:
    """One per process and start: what dies together bears one name."""
    return f"{socket.gethostname()[:50]}:{os.getpid()}:{new_id()[:8]}"


def _message(claim: Claim, event: PassingEvent) -> Message:
    kind = "preview" if isinstance(event, Preview) else "progress"
    return Message(
        topic=claim.lane.account_id, key=claim.ref.job_id, kind=kind, slot=kind, body=event_text(event)
    )
