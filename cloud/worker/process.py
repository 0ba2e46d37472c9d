"""What a worker process does with its seats, from its start to its drain."""

import asyncio
import os
import socket
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import structlog

from cloud.clients.blob import BlobStore
from cloud.clients.broadcast import Broadcast, Message
from cloud.clients.queue import Queue
from cloud.clients.restart_hook import RestartHook
from cloud.context import ProcessContext
from cloud.factory import Factory
from cloud.repositories.attempt import Claim
from cloud.services.attempt_rules import AttemptRules
from cloud.services.attempts import Attempts
from cloud.services.claiming import Claiming
from cloud.services.leading import Leading
from cloud.services.waiting import Waiting
from cloud.worker.clerk import Clerk
from cloud.worker.fleet import Fleet
from cloud.worker.following import RunFollower
from cloud.worker.inputs import InputFiles
from cloud.worker.lane_worker import LaneWorker
from cloud.worker.passing import PassingEvent
from cloud.worker.run import AttemptRunner
from cloud.worker.saving import OutputSaver
from cloud.worker.seat import Seat
from cloud.worker.seats import open_seats
from cloud.worker.server_watch import WatchRules
from cloud.worker.solitude import Solitude
from cloud.worker.watch import LocalWatch, Watch
from shared.api.events import event_text
from shared.ids import new_id
from shared.jobs.events import Preview
from shared.presets.bundle import Preset

__all__ = ["run_worker", "work", "worker_name"]

_log = structlog.get_logger(__name__)


async def work(context: ProcessContext, *, stop: asyncio.Event, hurry: asyncio.Event | None = None) -> None:
    """A worker with an engine of its own and its share of the servers, until `stop` is set and it has
    drained, which `hurry` makes quicker."""
    factory, settings = Factory(context), context.settings
    async with open_seats(settings) as seats:
        await run_worker(
            name=worker_name(),
            seats=seats,
            claiming=factory.claiming(),
            attempts=factory.attempts(),
            waiting=factory.waiting(),
            leading=factory.leading(),
            rules=factory.attempt_rules(),
            watch_rules=WatchRules(every_s=settings.look_every_s, answer_s=settings.server_answer_s),
            queue=context.queue,
            broadcast=context.broadcast,
            blobs=context.blobs,
            presets=context.presets,
            folder=settings.data_dir / "engines",
            stop=stop,
            hurry=hurry,
            grace_s=settings.drain_s,
            poll_s=settings.poll_every_s,
            hang_s=settings.hang_s,
            restart=RestartHook(settings.restart_command),
        )


async def run_worker(
    *,
    name: str,
    seats: Sequence[Seat],
    claiming: Claiming,
    attempts: Attempts,
    waiting: Waiting,
    leading: Leading,
    rules: AttemptRules,
    watch_rules: WatchRules,
    queue: Queue,
    broadcast: Broadcast,
    blobs: BlobStore,
    presets: Mapping[str, Preset],
    folder: Path,
    stop: asyncio.Event,
    hurry: asyncio.Event | None = None,
    grace_s: float = 20.0,
    poll_s: float = 1.0,
    hang_s: float = 30.0,
    restart: RestartHook | None = None,
) -> None:
    """Returns once `stop` is set and every attempt has ended or was given back."""
    tell = partial(_tell, broadcast)
    clerk = Clerk(attempts)
    solitude = Solitude(claiming=claiming, lease_s=rules.lease.total_seconds())

    def lane_worker(seat: Seat, watch: Watch, seat_grace_s: float) -> LaneWorker:
        runner = AttemptRunner(
            seat=seat,
            attempts=attempts,
            clerk=clerk,
            inputs=InputFiles(blobs=blobs, presets=presets),
            saver=OutputSaver(blobs=blobs),
            follower=RunFollower(seat=seat, attempts=attempts, clerk=clerk, tell=tell, hang_s=hang_s),
        )
        return LaneWorker(
            name=name,
            seat=seat,
            watch=watch,
            runner=runner,
            claiming=claiming,
            attempts=attempts,
            waiting=waiting,
            solitude=solitude,
            rules=rules,
            queue=queue,
            presets=presets,
            grace_s=seat_grace_s,
            poll_s=poll_s,
            hurry=hurry,
        )

    _log.info("worker_started", worker=name)
    fleet = Fleet(
        worker=name,
        leading=leading,
        queue=queue,
        rules=rules,
        watch_rules=watch_rules,
        restart=restart or RestartHook(None),
        folder=folder,
        grace_s=grace_s,
        make=lane_worker,
    )
    async with clerk.at_work(), asyncio.TaskGroup() as group:
        group.create_task(fleet.work(stop), name="fleet")
        for seat in seats:
            lanes = lane_worker(seat, LocalWatch(seat.engine, capacity=seat.runs_at_once + 1), grace_s)
            group.create_task(lanes.work(stop), name=f"seat-{seat.name}")
    _log.info("worker_stopped", worker=name)


def worker_name() -> str:
    """One per process and start: what dies together bears one name."""
    return f"{socket.gethostname()[:50]}:{os.getpid()}:{new_id()[:8]}"


async def _tell(broadcast: Broadcast, claim: Claim, event: PassingEvent) -> None:
    await broadcast.publish(_message(claim, event))


def _message(claim: Claim, event: PassingEvent) -> Message:
    kind = "preview" if isinstance(event, Preview) else "progress"
    return Message(
        topic=claim.lane.account_id, key=claim.ref.job_id, kind=kind, slot=kind, body=event_text(event)
    )
