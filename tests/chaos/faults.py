"""Faults in an order that a seed decides, each brought about and then over."""

import contextlib
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.chaos.places import failpoints
from tests.chaos.site import LEASE_S, Seat, Site

__all__ = ["Death", "Fault", "Injector", "pid_of", "schedule"]

_KINDS = {
    "worker_killed": 5,
    "worker_frozen": 3,
    "worker_drained": 2,
    "api_killed": 3,
    "api_frozen": 1,
    "failpoint": 6,
    "redis_emptied": 2,
    "redis_killed": 2,
    "sessions_ended": 2,
    "postgres_restarted": 1,
    "gpu_killed": 2,
    "gpu_frozen": 1,
    "gpu_deaf": 1,
    "gpu_garbage": 1,
    "gpu_loses_answers": 1,
    "store_refuses": 1,
    "store_resets": 1,
    "store_loses_answers": 1,
}
_GARBAGE = ("{", '{"type": 7}', b"\x00\x00\x00\x63abc", '{"type": "progress", "data": []}')
_AT_WORK_S = 5.0
_NEVER_SETTLES = {"attempt.timed_out", "attempt.hung", "blob.flushed", "blob.named"}


@dataclass(frozen=True, slots=True)
class Fault:
    """`pause_s` after the one before; `which` of several, `length_s` if it lasts; `place` of a failpoint."""

    kind: str
    pause_s: float
    which: int
    length_s: float
    place: str


@dataclass(frozen=True, slots=True)
class Death:
    """Of a worker's process, at a time by the clock."""

    pid: int
    at: float


def pid_of(worker: str) -> int:
    """Of its name, as the database has it."""
    return int(worker.split(":")[1])


def schedule(seed: int, count: int) -> list[Fault]:
    """Every kind once, as far as `count` goes, and then by weight."""
    dice = random.Random(seed)
    places = sorted(set(failpoints("cloud")) - _NEVER_SETTLES)
    kinds = dice.sample(sorted(_KINDS), min(count, len(_KINDS)))
    kinds += dice.choices(list(_KINDS), weights=list(_KINDS.values()), k=count - len(kinds))
    return [
        Fault(kind, dice.uniform(0.5, 2.5), dice.randrange(6), dice.uniform(0.5, 3.0), dice.choice(places))
        for kind in kinds
    ]


class Injector:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._lasting: list[threading.Thread] = []
        self.counts: Counter[str] = Counter()
        self.deaths: list[Death] = []
        self.drained: set[int] = set()
        self.outages: list[tuple[float, float]] = []  # of the database, until leases were renewed again
        self.unhit: list[str] = []

    def inject(self, faults: Sequence[Fault]) -> None:
        """Returns when all are over."""
        for fault in faults:
            time.sleep(fault.pause_s)
            self._site.revive()
            kind, _, rest = fault.kind.partition("_")
            act: Callable[[Fault, str], None] = getattr(self, f"_{kind}")
            act(fault, rest)
            self.counts[fault.kind] += 1
        for thread in self._lasting:
            thread.join()
        self._site.armed.unlink(missing_ok=True)
        self._site.revive()

    def _worker(self, fault: Fault, what: str) -> None:
        seat = self._worker_at_work(fault)
        match what:
            case "killed":
                self._note_death(self._site.kill(seat))
            case "frozen":
                pid = self._site.kill(seat, signal.SIGSTOP)
                self._note_death(pid)
                process = seat.process
                assert process is not None
                self._later(LEASE_S * 1.5, lambda: process.send_signal(signal.SIGCONT))
            case _:
                self.drained.add(self._site.kill(seat, signal.SIGTERM))

    def _worker_at_work(self, fault: Fault) -> Seat:
        """The one with the youngest attempt, which it will not have ended before it is hit; if none of them
        has anything to do for a while, whichever."""
        seats = {seat.process.pid: seat for seat in self._site.workers if seat.process is not None}
        until = time.monotonic() + _AT_WORK_S
        while time.monotonic() < until:
            open_ = "SELECT worker FROM attempts WHERE ended_at IS NULL ORDER BY claimed_at DESC"
            for (worker,) in self._site.query(open_):
                if (pid := pid_of(worker)) in seats:
                    return seats[pid]
            time.sleep(0.02)
        return self._site.workers[fault.which % len(self._site.workers)]

    def _api(self, fault: Fault, what: str) -> None:
        seat = self._site.apis[fault.which % len(self._site.apis)]
        process = seat.process
        assert process is not None
        if what == "killed":
            process.kill()
        else:
            process.send_signal(signal.SIGSTOP)
            self._later(fault.length_s, lambda: process.send_signal(signal.SIGCONT))

    def _failpoint(self, fault: Fault, _what: str) -> None:
        """Whoever gets there within a while dies; if it was a worker, it is found out below."""
        before = {seat.process.pid: seat for seat in self._site.workers if seat.process is not None}
        self._site.armed.write_text(f"{fault.place}:kill")
        until = time.monotonic() + 6
        while self._site.armed.exists() and time.monotonic() < until:
            time.sleep(0.02)
        if self._site.armed.exists():
            self._site.armed.unlink(missing_ok=True)
            self.unhit.append(fault.place)
        time.sleep(0.05)
        for pid, seat in before.items():
            if seat.process is not None and seat.process.pid == pid and seat.process.poll() is not None:
                self._note_death(pid)

    def _redis(self, _fault: Fault, what: str) -> None:
        if what == "emptied":
            with contextlib.suppress(AssertionError):
                self._site.redis.flush()
        else:
            self._site.redis.kill()
            self._later(1.0, self._site.redis.start)

    def _sessions(self, _fault: Fault, _what: str) -> None:
        self._site.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'safelight'"
        )

    def _postgres(self, _fault: Fault, _what: str) -> None:
        begun = time.time()
        self._site.postgres.restart()
        self.outages.append((begun, time.time() + LEASE_S))

    def _gpu(self, fault: Fault, what: str) -> None:
        gpu = self._site.gpus[fault.which % len(self._site.gpus)]
        faults = gpu.server.faults
        match what:
            case "killed":
                gpu.stop()
                self._later(fault.length_s, gpu.start_empty)
            case "frozen":
                gpu.freeze()
                self._later(fault.length_s, gpu.thaw)
            case "deaf":
                faults.deaf = True
                self._later(fault.length_s, lambda: setattr(faults, "deaf", False))
            case "garbage":
                faults.garbage = _GARBAGE
                self._later(fault.length_s, lambda: setattr(faults, "garbage", ()))
            case _:
                faults.lose_answers = 2

    def _store(self, fault: Fault, what: str) -> None:
        kind = {"refuses": "503", "resets": "reset", "loses_answers": "lost"}[what]
        with contextlib.suppress(OSError):
            self._site.s3.fail(kind, "PUT", times=1 + fault.which % 3)

    def _note_death(self, pid: int) -> None:
        self.deaths.append(Death(pid, time.time()))

    def _later(self, after_s: float, work: Callable[[], object]) -> None:
        def run() -> None:
            time.sleep(after_s)
            work()

        thread = threading.Thread(target=run)
        thread.start()
        self._lasting.append(thread)
