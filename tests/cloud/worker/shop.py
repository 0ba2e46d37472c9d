"""A worker with everything around it but the API: jobs are put straight into the database."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from cryptography.fernet import Fernet

from cloud.clients.blob import LocalBlobStore, artifact_key
from cloud.clients.broadcast import LocalBroadcast
from cloud.clients.queue import Bell, LocalQueue
from cloud.clients.restart_hook import RestartHook
from cloud.clients.secret_box import SecretBox
from cloud.errors import Fenced
from cloud.repositories.artifacts import ArtifactFacts
from cloud.repositories.attempt import Claim
from cloud.repositories.database import Database
from cloud.repositories.jobs import InputName, JobRecord, NewJob
from cloud.repositories.lanes import Lane
from cloud.repositories.unit import Unit
from cloud.services.attempt_ends import AttemptEnds
from cloud.services.attempt_rules import AttemptRules
from cloud.services.attempts import Attempts
from cloud.services.breaker import BreakerRules
from cloud.services.callers import COMMAND_LINE
from cloud.services.claiming import Claiming
from cloud.services.endings import Endings
from cloud.services.graph_policy import GraphLimits, admitted
from cloud.services.lane_needs import GRAPH, graph_needs, with_labels
from cloud.services.leading import Leading
from cloud.services.model_choices import model_choices
from cloud.services.reaping import Reaping
from cloud.services.servers import Servers
from cloud.services.waiting import Waiting
from cloud.worker.clerk import Clerk
from cloud.worker.following import Course, RunFollower
from cloud.worker.inputs import InputFiles
from cloud.worker.passing import PassingEvent
from cloud.worker.process import run_worker, worker_name
from cloud.worker.run import AttemptRunner
from cloud.worker.saving import OutputSaver
from cloud.worker.seat import Seat
from cloud.worker.server_watch import WatchRules
from cloud.worker.signals import Reason, Signals
from shared.api.servers import Server, ServerRequest
from shared.engines.base import Engine
from shared.engines.builtin.engine import BuiltinEngine
from shared.engines.builtin.pool import ProcessPool
from shared.errors import JsonValue
from shared.files import digest_file
from shared.ids import new_id
from shared.jobs.events import Queued
from shared.jobs.state import is_terminal
from shared.presets.bundle import load_preset, shipped_presets_folder
from shared.presets.values import resolve_values

__all__ = ["ACCOUNT", "PHOTO", "Shop"]

ACCOUNT = "11111111-1111-4111-8111-111111111111"
PHOTO = shipped_presets_folder() / "samples" / "cat.jpg"


@dataclass
class Shop:
    """`rules` may have short leases; `clock` of the database may be moved by the test."""

    database: Database
    folder: Path
    rules: AttemptRules
    pool: ProcessPool
    preset_id: str = "noir"
    lane_pool: str = "builtin"

    def __post_init__(self) -> None:
        self.queue = LocalQueue()
        self.broadcast = LocalBroadcast()
        self.blobs = LocalBlobStore(folder=self.folder / "artifacts")
        self.preset = load_preset(shipped_presets_folder() / self.preset_id)
        self.presets = {self.preset.manifest.id: self.preset}
        self.box = SecretBox([Fernet.generate_key().decode()])
        self.set_up()

    def set_up(self) -> None:
        """The services, with the rules as they are now."""
        ends = AttemptEnds(
            endings=Endings(),
            rules=self.rules,
            presets=self.presets,
            utcnow=lambda: datetime.now(UTC),
        )
        self.claiming = Claiming(database=self.database, queue=self.queue, lease=self.rules.lease)
        self.attempts = Attempts(
            database=self.database,
            queue=self.queue,
            ends=ends,
            lease=self.rules.lease,
            utcnow=lambda: datetime.now(UTC),
        )
        self.reaping = Reaping(database=self.database, queue=self.queue, ends=ends)
        self.waiting = Waiting(
            database=self.database,
            queue=self.queue,
            endings=Endings(),
            presets=self.presets,
            longest=timedelta(hours=1),
            utcnow=lambda: datetime.now(UTC),
        )

        self.servers = Servers(database=self.database, queue=self.queue, box=self.box)
        self.leading = Leading(
            database=self.database,
            queue=self.queue,
            box=self.box,
            rules=self.rules,
            breaker_rules=BreakerRules(first=timedelta(seconds=0.5)),
        )
        self.watch_rules = WatchRules(every_s=0.2, ask_every_s=60, patience_s=30, answer_s=30)

    async def open(self) -> None:
        await self.database.write(lambda unit: unit.accounts.add(ACCOUNT, "Test"))

    async def register(self, url: str, name: str, **more: object) -> None:
        await self.servers.add(COMMAND_LINE, ServerRequest.model_validate({"url": url, "name": name, **more}))

    async def server(self, name: str) -> Server:
        return await self.servers.show(COMMAND_LINE, name)

    async def until_server(
        self, name: str, reached: Callable[[Server], bool], *, within_s: float = 60
    ) -> Server:
        async with asyncio.timeout(within_s):
            while not reached(server := await self.server(name)):  # noqa: ASYNC110 - rows have no event
                await asyncio.sleep(0.01)
            return server

    def engine(self, name: str = "one") -> BuiltinEngine:
        return BuiltinEngine(state_folder=self.folder / "engines" / name, pool=self.pool)

    @contextlib.asynccontextmanager
    async def worker(
        self,
        engine: Engine | None = None,
        *,
        name: str | None = None,
        grace_s: float = 10.0,
        hang_s: float = 30.0,
        poll_s: float = 1.0,
        restart: RestartHook | None = None,
    ) -> AsyncIterator[asyncio.Event]:
        """A worker beside the test, which leads its share of the servers; setting the event drains it,
        leaving ends it hard."""
        stop = asyncio.Event()
        builtin = Seat(engine=engine or self.engine(), pools=frozenset({"builtin"}), runs_at_once=1)
        task = asyncio.create_task(
            run_worker(
                name=name or worker_name(),
                seats=[builtin] if self.lane_pool == "builtin" else [],
                claiming=self.claiming,
                attempts=self.attempts,
                waiting=self.waiting,
                leading=self.leading,
                rules=self.rules,
                watch_rules=self.watch_rules,
                queue=self.queue,
                broadcast=self.broadcast,
                blobs=self.blobs,
                presets=self.presets,
                folder=self.folder / "engines",
                stop=stop,
                grace_s=grace_s,
                hang_s=hang_s,
                restart=restart,
                poll_s=poll_s,
            )
        )
        try:
            yield stop
            if stop.is_set():
                async with asyncio.timeout(60):
                    await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def submit(
        self,
        photo: Path = PHOTO,
        *,
        ring: bool = True,
        values: Mapping[str, JsonValue] = MappingProxyType({}),
        labels: Mapping[str, str] = MappingProxyType({}),
    ) -> str:
        job_id = new_id()
        digest, size = await self._stored(photo)
        resolved = resolve_values(self.preset.manifest, values)
        models = with_labels(model_choices(self.preset, resolved), labels)
        lane = Lane(self.lane_pool, 0, ACCOUNT, self.preset.manifest.id, models)
        job = NewJob(
            id=job_id,
            lane=lane,
            preset_version=self.preset.manifest.version,
            preset_digest=self.preset.digest,
            values=resolved,
            inputs={"photo": (InputName(digest, photo.name),)},
        )

        def work(unit: Unit) -> None:
            unit.artifacts.add_made(ACCOUNT, digest, size, ArtifactFacts("image/jpeg"))
            unit.jobs.add(job)
            unit.events.add(ACCOUNT, Queued(job_id=job_id, attempt=1, at=datetime.now(UTC)))
            unit.lanes.enter(lane)

        await self.database.write(work)
        if ring:
            await self.queue.ring(Bell.JOBS)
        return job_id

    async def submit_graph(self, data: Mapping[str, JsonValue], place: str) -> str:
        """With the photo at `place`."""
        job_id = new_id()
        digest, size = await self._stored(PHOTO)
        graph = admitted(data, [place], GraphLimits())
        lane = Lane("builtin", 0, ACCOUNT, GRAPH, graph_needs(graph))
        job = NewJob(
            id=job_id,
            lane=lane,
            preset_version="1",
            preset_digest=graph.digest,
            values={},
            inputs={place: (InputName(digest, PHOTO.name),)},
            graph=json.dumps(graph.graph.to_json()),
        )

        def work(unit: Unit) -> None:
            unit.artifacts.add_made(ACCOUNT, digest, size, ArtifactFacts("image/jpeg"))
            unit.jobs.add(job)
            unit.lanes.enter(lane)

        await self.database.write(work)
        await self.queue.ring(Bell.JOBS)
        return job_id

    async def _stored(self, photo: Path) -> tuple[str, int]:
        digest = digest_file(photo)
        copy = self.blobs.staging_folder / new_id()
        await asyncio.to_thread(shutil.copyfile, photo, copy)
        await self.blobs.adopt(artifact_key(ACCOUNT, digest), copy)
        size = await self.blobs.size(artifact_key(ACCOUNT, digest))
        assert size is not None
        return digest, size

    async def cancel(self, job_id: str) -> bool:
        """False if no worker has the job."""
        asked = await self.database.write(lambda unit: unit.claims.request_cancel(ACCOUNT, job_id))
        await self.queue.ring(Bell.CANCELS)
        return asked

    async def job(self, job_id: str) -> JobRecord:
        found = await self.database.read(lambda unit: unit.jobs.find(ACCOUNT, job_id))
        assert found is not None
        return found

    async def until(
        self, job_id: str, reached: Callable[[JobRecord], bool], *, within_s: float = 60
    ) -> JobRecord:
        async with asyncio.timeout(within_s):
            while not reached(job := await self.job(job_id)):  # noqa: ASYNC110 - rows have no event
                await asyncio.sleep(0.01)
            return job

    async def end_of(self, job_id: str) -> JobRecord:
        return await self.until(job_id, lambda job: is_terminal(job.state))

    async def until_running(self, job_id: str) -> JobRecord:
        return await self.until(job_id, lambda job: job.started_at is not None or is_terminal(job.state))

    async def events(self, job_id: str) -> list[str]:
        await self.database.write(lambda unit: unit.events.number_unpublished(10_000))
        found = await self.database.read(lambda unit: unit.events.after(ACCOUNT, 0, job_id=job_id, limit=100))
        return [event.kind for event in found]

    def key(self, digest: str) -> str:
        return artifact_key(ACCOUNT, digest)

    @property
    def photo_digest(self) -> str:
        return digest_file(PHOTO)

    def inputs(self) -> InputFiles:
        return InputFiles(blobs=self.blobs, presets=self.presets)

    async def run_by_hand(self, claim: Claim, *, unwanted: bool = False) -> None:
        """What a worker does with a claim, without its loop; a zombie's Fenced is its right end."""

        async def tell(_claim: Claim, _event: PassingEvent) -> None:
            pass

        seat = Seat(engine=self.engine("by-hand"), pools=frozenset({"builtin"}), runs_at_once=1)
        signals = Signals()
        if unwanted:
            signals.give(Reason.UNWANTED)
        clerk = Clerk(self.attempts)
        async with clerk.at_work():
            runner = AttemptRunner(
                seat=seat,
                attempts=self.attempts,
                clerk=clerk,
                inputs=self.inputs(),
                saver=OutputSaver(blobs=self.blobs),
                follower=RunFollower(seat=seat, attempts=self.attempts, clerk=clerk, tell=tell, hang_s=30),
            )
            course = Course()
            with contextlib.suppress(Fenced):
                await runner.run(claim, signals, course)
                await runner.tidy(course)

    def move_clock(self, by: timedelta) -> None:
        self.database.clock_offset += by
