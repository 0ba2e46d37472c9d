"""Room for suspects: jobs that may have ended a worker, and must not share the next one with others.

A busy worker would never be free for one. So once such a job has waited for a while, a worker that could
run it takes nothing else before it. How long each waits with that is drawn, so that not all stand idle.
"""

import random
from collections.abc import Awaitable, Callable, Collection
from time import monotonic

from cloud.repositories.lanes import Lane
from cloud.services.claiming import Claiming

__all__ = ["Solitude"]

_LOOKS_PER_LEASE = 4


class Solitude:
    """One for all loops of a worker: what dies together is counted together."""

    def __init__(self, *, claiming: Claiming, lease_s: float) -> None:
        self._claiming = claiming
        self._every_s = lease_s / _LOOKS_PER_LEASE
        self._patience_s = lease_s * random.uniform(1.0, 2.0)
        self._looked: dict[str, float] = {}
        self._wanted: dict[str, tuple[Lane, ...]] = {}
        self._open = 0

    @property
    def is_wanted(self) -> bool:
        """Nothing is to be claimed but a suspect."""
        return bool(self._wanted)

    @property
    def is_there(self) -> bool:
        return self._open == 0

    def begun(self) -> None:
        self._open += 1
        if self._wanted:
            self._looked.clear()  # this may be the one

    def ended(self) -> None:
        """There is room: before it is taken, all look again."""
        self._open -= 1
        self._looked.clear()

    async def lanes(
        self,
        seat: str,
        pools: Collection[str],
        runnable: Callable[[tuple[Lane, ...]], Awaitable[tuple[Lane, ...]]],
    ) -> tuple[Lane, ...]:
        """Those of suspects that this seat can run, and that have waited for too long."""
        now = monotonic()
        if self._looked.get(seat, 0.0) <= now:
            self._looked[seat] = now + self._every_s
            self._wanted.pop(seat, None)
            found = await self._claiming.suspects(pools, waited_s=self._patience_s)
            wanted = await runnable(found) if found else ()
            if wanted:
                self._wanted[seat] = wanted
        return self._wanted.get(seat, ())

    def declined(self, seat: str) -> None:
        """They are for others: this seat looks again later."""
        self._wanted.pop(seat, None)
