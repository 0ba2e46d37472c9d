"""The files on their way into a hot folder, each in one phase; in memory only, a scan finds them again."""

import asyncio
import heapq
import itertools
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from desktop.watching.agenda import Agenda
from desktop.watching.settle import Evidence, Quiet

__all__ = ["Arrival", "Arrivals", "Phase"]


class Phase(StrEnum):
    TURN = "turn"  # waits to be read
    READING = "reading"
    SETTLING = "settling"  # may still be written
    HELD = "held"  # somebody has it open for writing, or it may not be read
    BROKEN = "broken"  # does not decode; waits for a change
    TWIN = "twin"  # the same content is on its way under another name
    PARTNER = "partner"  # a file that it goes along with is not there


@dataclass(slots=True)
class Arrival:
    """`again` is what was heard while the file was being read.

    `partners` is how its partners have looked, by input, and `told` what it was said to wait for.
    """

    evidence: Evidence
    phase: Phase = Phase.TURN
    again: Evidence | None = None
    quiet: Quiet | None = None
    broken: Quiet | None = None
    impatient: bool = False
    partners: dict[str, Quiet] = field(default_factory=dict)
    told: str | None = None


class Arrivals:
    """Hands out paths one at a time, those the system just reported before those of a scan."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._arrivals: dict[str, Arrival] = {}
        self._counts: Counter[Phase] = Counter()
        self._turns: list[tuple[bool, int, str]] = []
        self._numbers = itertools.count()
        self._agenda = Agenda()
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._arrivals)

    def count(self, *phases: Phase) -> int:
        return sum(self._counts[phase] for phase in phases)

    def paths(self, *phases: Phase) -> list[str]:
        return [path for path, arrival in self._arrivals.items() if arrival.phase in phases]

    def add(self, path: str, evidence: Evidence) -> None:
        arrival = self._arrivals.get(path)
        if arrival is None:
            self._queue(path, self._begin(path, evidence))
        elif arrival.phase is Phase.READING:
            arrival.again = evidence if arrival.again is not Evidence.CLOSED else arrival.again
        elif evidence is Evidence.CLOSED or arrival.phase in {Phase.BROKEN, Phase.TWIN}:
            arrival.evidence = evidence
            if arrival.phase is not Phase.TURN:
                self._queue(path, arrival)

    def nudge(self, path: str) -> None:
        """Something happened to a file that goes along with it: look at it at once."""
        arrival = self._arrivals.get(path)
        if arrival is None or arrival.phase is Phase.READING:
            self.add(path, Evidence.SEEN)
        elif arrival.phase is not Phase.TURN:
            self._queue(path, arrival)

    def expect(self, path: str, at: float) -> None:
        """Something began to write `path`: look at it at `at` unless its end is reported before."""
        if path not in self._arrivals:
            self._enter(self._begin(path, Evidence.SEEN), Phase.SETTLING)
            self._put(path, at)

    def put_off(self, path: str, arrival: Arrival, phase: Phase, at: float) -> None:
        """Look again at `at`, or at once if something was heard while the file was being read."""
        if arrival.again is not None:
            arrival.evidence, arrival.again = arrival.again, None
            self._queue(path, arrival)
            return
        self._enter(arrival, phase)
        arrival.evidence = Evidence.SEEN
        self._put(path, at)

    def finish(self, path: str) -> None:
        """Done with what was read; what was heard meanwhile makes it arrive anew."""
        arrival = self._end(path)
        if arrival.again is not None:
            self.add(path, arrival.again)
        self._changed.set()

    def drop(self, path: str) -> None:
        """The file is gone; if it is being read just now, the reader will see that itself."""
        arrival = self._arrivals.get(path)
        if arrival is not None and arrival.phase is not Phase.READING:
            self._end(path)

    def hurry(self) -> None:
        """Give up on files that do not decode, now."""
        for path in self.paths(Phase.BROKEN):
            arrival = self._arrivals[path]
            arrival.impatient = True
            self._queue(path, arrival)

    async def next(self) -> tuple[str, Arrival]:
        while True:
            self._wake_due()
            while self._turns:
                _, _, path = heapq.heappop(self._turns)
                arrival = self._arrivals.get(path)
                if arrival is not None and arrival.phase is Phase.TURN:
                    self._enter(arrival, Phase.READING)
                    return path, arrival
            await self._wait()

    async def _wait(self) -> None:
        self._changed.clear()
        at = self._agenda.next_time()
        try:
            async with asyncio.timeout(None if at is None else max(at - self._clock(), 0)):
                await self._changed.wait()
        except TimeoutError:
            return

    def _wake_due(self) -> None:
        for path in self._agenda.pop_due(self._clock()):
            arrival = self._arrivals.get(path)
            if arrival is not None and arrival.phase not in {Phase.TURN, Phase.READING}:
                self._queue(path, arrival)

    def _queue(self, path: str, arrival: Arrival) -> None:
        self._enter(arrival, Phase.TURN)
        self._agenda.discard(path)
        heapq.heappush(self._turns, (arrival.evidence is not Evidence.CLOSED, next(self._numbers), path))
        self._changed.set()

    def _begin(self, path: str, evidence: Evidence) -> Arrival:
        arrival = self._arrivals[path] = Arrival(evidence)
        self._counts[arrival.phase] += 1
        return arrival

    def _enter(self, arrival: Arrival, phase: Phase) -> None:
        self._counts[arrival.phase] -= 1
        self._counts[phase] += 1
        arrival.phase = phase

    def _end(self, path: str) -> Arrival:
        arrival = self._arrivals.pop(path)
        self._counts[arrival.phase] -= 1
        self._agenda.discard(path)
        return arrival

    def _put(self, path: str, at: float) -> None:
        self._agenda.put(path, at)
        self._changed.set()
