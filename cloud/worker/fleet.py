"""The servers that this worker leads: taken, looked after, worked, and given up again."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from time import monotonic

import structlog

from cloud.clients.queue import Bell, Queue
from cloud.clients.restart_hook import RestartHook
from cloud.clients.telemetry import report
from cloud.repositories.servers import ServerRecord
from cloud.services.attempt_rules import AttemptRules
from cloud.services.leading import Leading
from cloud.worker.lane_worker import LaneWorker
from cloud.worker.seat import Seat
from cloud.worker.server_watch import ServerWatch, WatchRules
from cloud.worker.signals import Reason
from cloud.worker.watch import Watch
from shared.comfy.client import ComfyClient
from shared.comfy.patience import Patience
from shared.engines.comfy import ComfyEngine
from shared.errors import SafelightError, TransientError
from shared.failpoints import failpoint

__all__ = ["Fleet", "MakeLaneWorker"]

_log = structlog.get_logger(__name__)

_BEATS_PER_LEASE = 4
_FENCE = 0.8

MakeLaneWorker = Callable[[Seat, Watch, float], LaneWorker]


@dataclass(slots=True)
class _Led:
    record: ServerRecord
    watch: ServerWatch
    lanes: LaneWorker
    stop: asyncio.Event
    task: asyncio.Task[None]


class Fleet:
    """`folder` is where outputs are kept until they are stored. `make` builds the loop of a seat, with
    the seconds that what runs may take to end when it is stopped."""

    def __init__(
        self,
        *,
        worker: str,
        leading: Leading,
        queue: Queue,
        rules: AttemptRules,
        watch_rules: WatchRules,
        restart: RestartHook,
        folder: Path,
        grace_s: float,
        make: MakeLaneWorker,
    ) -> None:
        self._worker = worker
        self._leading = leading
        self._queue = queue
        self._lease_s = rules.lease.total_seconds()
        self._watch_rules = watch_rules
        self._restart = restart
        self._folder = folder
        self._grace_s = grace_s
        self._make = make
        self._led: dict[str, _Led] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def work(self, stop: asyncio.Event) -> None:
        """Until `stop`; then what runs on the servers may end within the grace time."""
        with self._queue.listen(Bell.SERVERS) as bell:
            waking = asyncio.create_task(_ring_at(stop, bell.ring), name="fleet-stop")
            try:
                while not stop.is_set():
                    await self._round()
                    await bell.wait(self._lease_s / _BEATS_PER_LEASE)
                await self._end_all()
            finally:
                await _cancelled(waking, *self._ending, *(led.task for led in self._led.values()))
        try:
            await self._leading.leave(self._worker)
        except TransientError as error:
            _log.warning("servers_not_left", error=error.code)

    async def _round(self) -> None:
        begun = monotonic()
        idle = [name for name, led in self._led.items() if not led.lanes.open]
        try:
            records = await self._leading.lead(self._worker, idle=idle)
        except TransientError as error:
            _log.warning("not_led", error=error.code)
            return
        failpoint("server.led")
        until = begun + _FENCE * self._lease_s
        found = {record.name: record for record in records}
        for name in [name for name, led in self._led.items() if led.task.done()]:
            self._given_up_by_fault(name)
        for name in [name for name, led in self._led.items() if _is_gone(led, found)]:
            self._end(name)
        for name, record in found.items():
            led = self._led.get(name)
            if led is None:
                led = self._begin(record)
            if led is not None:
                led.watch.led(record, until)

    def _begin(self, record: ServerRecord) -> _Led | None:
        try:
            authorization = self._leading.authorization(record)
        except SafelightError as error:
            _log.error("server_not_opened", server=record.name, error=error.code)
            return None
        patience = Patience(answer_s=self._watch_rules.answer_s)
        try:
            client = ComfyClient(record.url, authorization=authorization, patience=patience)
        except (SafelightError, ValueError) as error:  # one that cannot be asked must not stop the others
            _log.error("server_not_opened", server=record.name, error=type(error).__name__)
            return None
        spool = self._folder / f"comfy-{sha256(record.url.encode()).hexdigest()[:12]}"
        engine = ComfyEngine(client=client, spool_folder=spool)
        seat = Seat(
            engine=engine,
            server=record.name,
            pools=frozenset({record.pool}),
            runs_at_once=record.capacity,
            labels=record.labels,
        )
        watch = ServerWatch(
            record=record,
            client=client,
            engine=engine,
            leading=self._leading,
            rules=self._watch_rules,
            restart=self._restart,
        )
        lanes = self._make(seat, watch, self._grace_s)
        watch.tell(
            on_change=lanes.ring,
            on_loss=lambda answers: lanes.give_up(Reason.DRAINED if answers else Reason.LOST),
            open_here=lambda: lanes.open,
        )
        stop = asyncio.Event()
        task = asyncio.create_task(_serve(engine, watch, lanes, stop), name=f"server-{record.name}")
        led = self._led[record.name] = _Led(record, watch, lanes, stop, task)
        _log.info("server_led", server=record.name, worker=self._worker)
        return led

    def _end(self, name: str) -> None:
        """Removed, or led by another: what runs here may end."""
        led = self._led.pop(name)
        led.stop.set()
        self._ending.add(led.task)
        led.task.add_done_callback(self._ending.discard)
        _log.info("server_given_up", server=name, worker=self._worker)

    def _given_up_by_fault(self, name: str) -> None:
        """It is begun anew, at this pace; the jobs that ran there are found again."""
        error = self._led.pop(name).task.exception()
        if error is not None:
            _log.error("server_given_up_by_fault", server=name, exc_info=error)
            report(error)

    async def _end_all(self) -> None:
        """Led on meanwhile: nobody else may start anything there before we are done."""
        for led in self._led.values():
            led.stop.set()
        tasks = {*self._ending, *(led.task for led in self._led.values())}
        while tasks:
            _, tasks = await asyncio.wait(tasks, timeout=self._lease_s / _BEATS_PER_LEASE)
            with contextlib.suppress(TransientError):
                await self._leading.lead(self._worker, idle=())


async def _serve(engine: ComfyEngine, watch: ServerWatch, lanes: LaneWorker, stop: asyncio.Event) -> None:
    """Nothing is sent to a server that nobody looks after: a fault of one ends both."""
    async with contextlib.aclosing(engine), asyncio.TaskGroup() as group:
        watching = group.create_task(watch.run(), name="server-watch")
        await lanes.work(stop)
        watching.cancel()


def _is_gone(led: _Led, found: dict[str, ServerRecord]) -> bool:
    """Also where another server was registered under the same name."""
    record = found.get(led.record.name)
    return record is None or record.id != led.record.id


async def _cancelled(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _ring_at(stop: asyncio.Event, ring: Callable[[], None]) -> None:
    await stop.wait()
    ring()
