"""The loop of one seat: while there is room, choose a lane, claim its oldest job, run it."""

import asyncio
import random
from collections.abc import Mapping
from time import monotonic

import structlog

from cloud.clients.queue import Bell, Queue, Waiter
from cloud.errors import Fenced
from cloud.repositories.claims import Claim
from cloud.repositories.lanes import Backlog, Lane, LaneHead
from cloud.services.attempts import AttemptRules, Attempts
from cloud.services.waiting import Waiting
from cloud.worker.choose import Residency, choose_lane, quantum_s
from cloud.worker.lease import LeaseLost, under_lease
from cloud.worker.run import AttemptRunner, Signals
from cloud.worker.seat import Seat, can_run
from cloud.worker.seat_watch import SeatWatch
from shared.engines.base import EngineUnavailable
from shared.errors import TransientError
from shared.failpoints import failpoint
from shared.presets.bundle import Preset

__all__ = ["LaneWorker"]

_log = structlog.get_logger(__name__)

_CLAIMS_AT_ONCE = 3
_AWAY_S = 5.0
_LEFT_S = 60.0


class LaneWorker:
    def __init__(
        self,
        *,
        name: str,
        seat: Seat,
        runner: AttemptRunner,
        attempts: Attempts,
        waiting: Waiting,
        rules: AttemptRules,
        queue: Queue,
        presets: Mapping[str, Preset],
        grace_s: float,
        poll_s: float,
    ) -> None:
        self._name = name
        self._seat = seat
        self._runner = runner
        self._attempts = attempts
        self._waiting = waiting
        self._rules = rules
        self._queue = queue
        self._presets = presets
        self._grace_s = grace_s
        self._poll_s = poll_s
        self._running: set[asyncio.Task[None]] = set()
        self._drained = asyncio.Event()
        self._watch = SeatWatch(worker=name, seat=seat, waiting=waiting)
        self._left: dict[Lane, float] = {}  # lanes for others, and until when they are
        self._held: tuple[str, float] | None = None

    async def work(self, stop: asyncio.Event) -> None:
        """Until `stop`; then what runs may end within the grace time, and is given back after it."""
        with self._queue.listen(Bell.JOBS) as bell:
            beside = [
                asyncio.create_task(_ring_at(stop, bell), name="stop-bell"),
                asyncio.create_task(self._watch.run(), name="seat-watch"),
            ]
            try:
                while not stop.is_set():
                    if not await self._claimed_one(bell):
                        await bell.wait(self._poll_s * random.uniform(0.8, 1.0))
            finally:
                for task in beside:
                    task.cancel()
                await asyncio.gather(*beside, return_exceptions=True)
        await self._drain()

    async def _claimed_one(self, bell: Waiter) -> bool:
        if len(self._running) >= self._seat.capacity:
            return False
        try:
            since = asyncio.get_running_loop().time()
            claim = await self._claim()
        except TransientError as error:
            _log.warning("no_claim", error=error.code, seat=self._seat.engine.name)
            return False
        if claim is None:
            return False
        failpoint("attempt.claimed")
        task = asyncio.create_task(self._see_through(claim, since), name=f"attempt-{claim.ref.job_id}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda _task: bell.ring())
        return True

    async def _claim(self) -> Claim | None:
        """Raises EngineUnavailable while nothing can be run here, and the database's troubles."""
        for _ in range(_CLAIMS_AT_ONCE):
            backlog = await self._attempts.backlog(self._seat.pools)
            lanes = await self._runnable(backlog.lanes)
            lane = choose_lane(
                Backlog(lanes, backlog.running, backlog.served_at), residency=self._residency()
            )
            if lane is None:
                return None
            claim = await self._attempts.claim(lane, worker=self._name)
            if claim is not None:
                self._note_preset(lane.preset)
                return claim
        return None

    async def _runnable(self, lanes: tuple[LaneHead, ...]) -> tuple[LaneHead, ...]:
        """Those that this seat can run; what no seat can is refused."""
        capabilities = await self._watch.capabilities()
        others = [lane for lane in lanes if not can_run(lane, self._presets, capabilities)]
        now = monotonic()
        strange = [lane for lane in others if self._left.get(_plain(lane), 0.0) <= now]
        if strange:
            capabilities = await self._watch.ask()  # a model may have come meanwhile
        for lane in strange:
            self._left[_plain(lane)] = now + _LEFT_S
            if not can_run(lane, self._presets, capabilities):
                await self._waiting.refuse(lane)
        self._left = {lane: until for lane, until in self._left.items() if until > now}
        return tuple(lane for lane in lanes if can_run(lane, self._presets, capabilities))

    def _residency(self) -> Residency:
        if self._held is None or not self._seat.switch_cost_s:
            return Residency()
        preset, since = self._held
        return Residency(preset, monotonic() - since, quantum_s(self._seat.switch_cost_s))

    def _note_preset(self, preset: str) -> None:
        if self._held is None or self._held[0] != preset:
            self._held = (preset, monotonic())

    async def _see_through(self, claim: Claim, since: float) -> None:
        with structlog.contextvars.bound_contextvars(job=claim.ref.job_id, attempt=claim.ref.number):
            try:
                await self._under_lease(claim, since)
            except (Fenced, LeaseLost) as error:
                _log.warning("attempt_taken_away", error=error.code)
            except EngineUnavailable as error:
                _log.warning("engine_away", error=error.message)
                self._watch.doubt()
                await asyncio.sleep(_AWAY_S)
            except Exception:  # noqa: BLE001 - the task's end: the reaper gives the job to another
                _log.exception("attempt_abandoned")

    async def _under_lease(self, claim: Claim, since: float) -> None:
        async def work(unwanted: asyncio.Event) -> None:
            await self._runner.run(claim, Signals(unwanted, self._drained))

        with self._queue.listen(Bell.CANCELS) as cancels:
            await under_lease(
                work,
                renew=lambda: self._attempts.heartbeat(claim.ref),
                lease_s=self._rules.lease.total_seconds(),
                since=since,
                cancels=cancels,
            )

    async def _drain(self) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=self._grace_s)
        self._drained.set()
        if self._running:
            await asyncio.wait(self._running, timeout=self._rules.lease.total_seconds())
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


def _plain(lane: LaneHead) -> Lane:
    return Lane(lane.pool, lane.priority, lane.account_id, lane.preset, lane.models)


async def _ring_at(stop: asyncio.Event, bell: Waiter) -> None:
    await stop.wait()
    bell.ring()
