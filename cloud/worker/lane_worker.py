"""The loop of one seat: while there is room, choose a lane, claim its oldest job, run it."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import monotonic

import structlog

from cloud.clients.queue import Bell, Queue, Waiter
from cloud.clients.telemetry import report, span
from cloud.errors import Fenced
from cloud.repositories.attempt import Claim
from cloud.repositories.lanes import Backlog, Lane, LaneHead
from cloud.repositories.standing import Scene
from cloud.services.attempt_rules import AttemptRules
from cloud.services.attempts import Attempts, Order
from cloud.services.claiming import Claiming
from cloud.services.leases import LeaseLost, under_lease
from cloud.services.residency import alike_to
from cloud.services.waiting import Waiting
from cloud.worker.choose import choose_lane, how_many
from cloud.worker.following import Course
from cloud.worker.run import AttemptRunner
from cloud.worker.seat import Seat, can_run
from cloud.worker.signals import Reason, Signals
from cloud.worker.solitude import Solitude
from cloud.worker.watch import Switches, Watch
from shared.engines.base import Capabilities, EngineUnavailable, RunLost
from shared.errors import TransientError
from shared.failpoints import failpoint
from shared.presets.bundle import Preset

__all__ = ["LaneWorker"]

_log = structlog.get_logger(__name__)

_CLAIMS_AT_ONCE = 3
_LEFT_S = 60.0


@dataclass(frozen=True, slots=True)
class _Look:
    """What a look at what waits came to; `more` if jobs may be left that could be claimed now."""

    claims: tuple[Claim, ...] = ()
    more: bool = False


class LaneWorker:
    def __init__(
        self,
        *,
        name: str,
        seat: Seat,
        watch: Watch,
        runner: AttemptRunner,
        claiming: Claiming,
        attempts: Attempts,
        waiting: Waiting,
        solitude: Solitude,
        rules: AttemptRules,
        queue: Queue,
        presets: Mapping[str, Preset],
        grace_s: float,
        poll_s: float,
        hurry: asyncio.Event | None = None,
    ) -> None:
        self._name = name
        self._seat = seat
        self._watch = watch
        self._runner = runner
        self._claiming = claiming
        self._attempts = attempts
        self._waiting = waiting
        self._solitude = solitude
        self._rules = rules
        self._queue = queue
        self._presets = presets
        self._grace_s = grace_s
        self._poll_s = poll_s
        self._hurry = hurry or asyncio.Event()
        self._running: dict[asyncio.Task[None], Signals] = {}
        self._bell: Waiter | None = None
        self._left: dict[Lane, float] = {}  # lanes for others, and until when they are

    @property
    def open(self) -> int:
        """How many attempts are."""
        return len(self._running)

    def ring(self) -> None:
        """There may be room now."""
        if self._bell is not None:
            self._bell.ring()

    def give_up(self, reason: Reason) -> None:
        """What is open here is given back."""
        for signals in self._running.values():
            signals.give(reason)

    async def work(self, stop: asyncio.Event) -> None:
        """Until `stop`; then what runs may end within the grace time, and is given back after it, or as soon
        as somebody hurries."""
        with self._queue.listen(Bell.JOBS) as bell:
            self._bell = bell
            ringing = asyncio.create_task(_ring_at(stop, bell), name="stop-bell")
            try:
                while not stop.is_set():
                    if not await self._has_more():
                        await bell.wait(self._poll_s * random.uniform(0.8, 1.0))
                self._bell = None
                self._solitude.declined(self._seat.name)
                await self._drain()
            finally:
                self._solitude.declined(self._seat.name)
                await _cancelled(ringing, *self._running)

    async def _has_more(self) -> bool:
        """Begins what it claims; whether to look again at once. What comes later rings."""
        room = self._watch.room_for_left - len(self._running)
        if room <= 0:
            return False
        try:
            since = asyncio.get_running_loop().time()
            suspect = await self._claimed_suspect()
            if suspect is None and self._solitude.is_wanted:
                return False
            look = await self._look(room) if suspect is None else _Look((suspect,), more=True)
        except TransientError as error:
            _log.warning("no_claim", error=error.code, seat=self._seat.name)
            return False
        for claim in look.claims:
            self._begin(claim, since)
        return look.more

    async def _claimed_suspect(self) -> Claim | None:
        """If one has waited for too long, and this worker has become free for it."""
        if not self._watch.room:
            self._solitude.declined(self._seat.name)
            return None
        lanes = await self._solitude.lanes(self._seat.name, self._seat.pools, self._able)
        if not lanes or not self._solitude.is_there:
            return None
        for lane in lanes:
            claim = await self._claiming.claim(lane, worker=self._name, server=self._seat.server)
            if claim is not None:
                return claim
        self._solitude.declined(self._seat.name)
        return None

    async def _able(self, lanes: tuple[Lane, ...]) -> tuple[Lane, ...]:
        capabilities = await self._watch.capabilities()
        return tuple(lane for lane in lanes if self._can_run(lane, capabilities))

    def _begin(self, claim: Claim, since: float) -> None:
        failpoint("attempt.claimed")
        is_cold = self._watch.hold(claim.lane.preset)
        signals = Signals()
        task = asyncio.create_task(
            self._see_through(claim, signals, since, is_cold=is_cold), name=f"attempt-{claim.ref.job_id}"
        )
        self._running[task] = signals
        self._solitude.begun()
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._solitude.ended()
        self.ring()

    async def _look(self, room: int) -> _Look:
        """Raises EngineUnavailable while nothing can be run here, and the database's troubles."""
        server = self._seat.server
        if server is None:
            return await self._look_through(await self._claiming.backlog(self._seat.pools), 1, room=room)
        left = await self._claiming.claim_left(server, worker=self._name)
        if left is not None:
            return _Look((left,), more=True)
        if len(self._running) >= self._watch.room:
            return _Look()
        scene = await self._claiming.scene(self._seat.pools)
        mine = next((standing.jobs for standing in scene.servers if standing.server.name == server), 0)
        if max(mine, len(self._running)) >= self._watch.room:
            return _Look()
        look = await self._look_at(server, scene)
        if not look.claims and not self._running:
            await self._ask_back(server, scene)
        return look

    async def _look_at(self, server: str, scene: Scene) -> _Look:
        others = [standing for standing in scene.servers if standing.server.name != server]
        lanes = scene.backlog.lanes
        if len(self._running) >= self._seat.runs_at_once:
            able = await self._watch.others()
            idle = [
                (able[other.server.name], other.server.labels)
                for other in others
                if other.is_idle and other.server.name in able
            ]
            lanes = tuple(
                lane for lane in lanes if not any(can_run(lane, self._presets, *other) for other in idle)
            )
        working = [standing.server for standing in scene.servers if standing.server.takes_work]
        elsewhere = frozenset(
            other.preset for other in working if other.name != server and other.preset is not None
        )
        mine = next((standing.server for standing in scene.servers if standing.server.name == server), None)
        alike = () if mine is None else alike_to(mine, [other.server for other in others])
        switches = tuple(other.switches for other in alike)
        backlog = replace(scene.backlog, lanes=lanes)
        return await self._look_through(backlog, max(1, len(working)), elsewhere, switches)

    async def _look_through(
        self,
        backlog: Backlog,
        servers: int,
        elsewhere: frozenset[str] = frozenset(),
        alike: Switches = (),
        *,
        room: int = 1,
    ) -> _Look:
        """A lane whose jobs others took meanwhile, or may not be taken here, is passed over."""
        lanes = await self._runnable(backlog.lanes)
        for _ in range(_CLAIMS_AT_ONCE):
            residency = self._watch.residency(lanes, elsewhere, alike)
            lane = choose_lane(replace(backlog, lanes=lanes), residency=residency, servers=servers)
            if lane is None:
                return _Look()
            most = how_many(lane, replace(backlog, lanes=lanes), room=room)
            claims = await self._claiming.claim_some(lane, most, worker=self._name, server=self._seat.server)
            if claims:
                return _Look(claims, more=sum(lane.waiting for lane in lanes) > len(claims))
            lanes = tuple(other for other in lanes if other is not lane)
        return _Look()

    async def _ask_back(self, server: str, scene: Scene) -> None:
        """Here is nothing to do, while elsewhere a job may wait behind another."""
        if all(standing.jobs <= standing.server.capacity for standing in scene.servers):
            return
        capabilities = await self._watch.capabilities()
        asked = await self._claiming.ask_back(
            self._seat.pools, server, lambda lane: self._can_run(lane, capabilities)
        )
        if asked is not None:
            _log.info("asked_back", job=asked.job_id, server=server)

    async def _runnable(self, lanes: tuple[LaneHead, ...]) -> tuple[LaneHead, ...]:
        """Those that this seat can run; what no seat can is refused."""
        capabilities = await self._watch.capabilities()
        others = [lane for lane in lanes if not self._can_run(lane, capabilities)]
        now = monotonic()
        strange = [lane for lane in others if self._left.get(_plain(lane), 0.0) <= now]
        if strange:
            capabilities = await self._watch.ask()  # a model may have come meanwhile
        for lane in strange:
            self._left[_plain(lane)] = now + _LEFT_S
            if not self._can_run(lane, capabilities):
                await self._waiting.refuse(lane)
        self._left = {lane: until for lane, until in self._left.items() if until > now}
        return tuple(lane for lane in lanes if self._can_run(lane, capabilities))

    def _can_run(self, lane: Lane, capabilities: Capabilities) -> bool:
        return can_run(lane, self._presets, capabilities, self._seat.labels)

    async def _see_through(self, claim: Claim, signals: Signals, since: float, *, is_cold: bool) -> None:
        course = Course()
        preset = claim.lane.preset
        with (
            structlog.contextvars.bound_contextvars(
                job=claim.ref.job_id, attempt=claim.ref.number, request_id=claim.origin.request_id
            ),
            span("attempt", parent=claim.origin.trace, preset=preset, attempt=claim.ref.number),
        ):
            _log.info("attempt_begun", preset=preset, server=self._seat.server)
            try:
                await self._under_lease(claim, signals, course, since)
                _log.info("attempt_over", preset=preset, server=self._seat.server)
                await self._runner.tidy(course)
            except (Fenced, LeaseLost) as error:
                _log.warning("attempt_taken_away", error=error.code)
                return
            except (EngineUnavailable, RunLost) as error:
                _log.warning("engine_let_down", error=error.code, message=error.message)
                if Reason.LOST not in signals:
                    self._watch.failed(error)
                return
            except Exception as error:  # noqa: BLE001 - the task's end: the reaper gives the job to another
                _log.exception("attempt_abandoned")
                report(error)
                return
        if course.begun_at is not None:
            self._watch.worked()
        if course.to_progress_s is not None:
            self._watch.measured(claim.lane.preset, course.to_progress_s, cold=is_cold)

    async def _under_lease(self, claim: Claim, signals: Signals, course: Course, since: float) -> None:
        async def renew() -> bool | None:
            order = await self._attempts.heartbeat(claim.ref)
            signals.hear(order)
            if order is Order.STOP:  # while its end is written, that may be why
                return None if course.ending else False
            return True

        lease_s = self._rules.lease.total_seconds()
        with self._queue.listen(Bell.CANCELS) as cancels:
            async with under_lease(renew, lease_s=lease_s, since=since, pause=cancels.wait):
                await self._runner.run(claim, signals, course)

    async def _drain(self) -> None:
        failpoint("drain.begun")
        if self._running:
            await self._wait_out_grace()
        self.give_up(Reason.DRAINED)
        failpoint("drain.given_up")
        if self._running:
            await asyncio.wait(self._running, timeout=self._rules.lease.total_seconds())

    async def _wait_out_grace(self) -> None:
        """For what runs to end, or for the one who cannot wait."""
        hurrying = asyncio.create_task(self._hurry.wait(), name="hurry")
        ending = asyncio.create_task(asyncio.wait(self._running), name="drain")
        await asyncio.wait({hurrying, ending}, timeout=self._grace_s, return_when=asyncio.FIRST_COMPLETED)
        for task in (hurrying, ending):
            task.cancel()
        await asyncio.gather(hurrying, ending, return_exceptions=True)


def _plain(lane: LaneHead) -> Lane:
    return Lane(lane.pool, lane.priority, lane.account_id, lane.preset, lane.models)


async def _ring_at(stop: asyncio.Event, bell: Waiter) -> None:
    await stop.wait()
    bell.ring()


async def _cancelled(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
