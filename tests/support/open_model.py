"""Load that comes when it comes, whether or not what came before was answered."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

__all__ = ["Offered", "offer"]

_SETTLE_S = 30.0


@dataclass(slots=True)
class Offered:
    """What became of some arrivals: milliseconds from the moment in which each was due."""

    taken_ms: list[float] = field(default_factory=list)
    arrivals: int = 0
    passed_s: float = 0.0

    @property
    def rate(self) -> float:
        """How many a second were served."""
        return len(self.taken_ms) / self.passed_s

    def add(self, other: "Offered") -> None:
        self.taken_ms += other.taken_ms
        self.arrivals += other.arrivals
        self.passed_s += other.passed_s


async def offer(
    act: Callable[[], Awaitable[object]], *, rate: float, seconds: float, seed: int = 1
) -> Offered:
    """Poisson arrivals, `rate` a second on average. One that raises fails the whole."""
    draw, begun = random.Random(seed), time.perf_counter()
    found = Offered()

    async def served(due: float) -> None:
        await act()
        found.taken_ms.append((time.perf_counter() - due) * 1000)

    due = begun
    async with asyncio.timeout(seconds + _SETTLE_S), asyncio.TaskGroup() as group:
        while (due := due + draw.expovariate(rate)) < begun + seconds:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(served(due))
            found.arrivals += 1
        await asyncio.sleep(max(0.0, begun + seconds - time.perf_counter()))
    found.passed_s = time.perf_counter() - begun
    return found
