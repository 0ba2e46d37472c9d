"""What wakes the runner."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from desktop.store.job import Job

__all__ = ["Bell", "Call"]


@dataclass(frozen=True, slots=True)
class Call:
    """`look`: the journal has news. `rescan`: older jobs now belong to this process too.

    `jobs` are those that this process has just journalled, and nobody has touched since;
    `journalling` holds, by id, those of which the disk has yet to say whether they are.
    """

    look: bool
    rescan: bool
    jobs: tuple[Job, ...]
    journalling: Mapping[str, asyncio.Future[bool]]


class Bell:
    def __init__(self) -> None:
        self._rung = asyncio.Event()
        self._look = False
        self._rescan = True
        self._jobs: list[Job] = []
        self._journalling: dict[str, asyncio.Future[bool]] = {}

    def ring(self, *, rescan: bool = False) -> None:
        self._look = True
        self._rescan = self._rescan or rescan
        self._rung.set()

    def hand_over(self, jobs: Sequence[Job], *, journalled: asyncio.Future[bool] | None = None) -> None:
        """New jobs, so that the runner need not look for them; prepared already until `journalled`."""
        self._jobs += jobs
        if journalled is not None:
            self._journalling |= {job.id: journalled for job in jobs}
        self._rung.set()

    def wake(self) -> None:
        """There is room for what waits; the journal has no news."""
        self._rung.set()

    async def wait(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._rung.wait()
        except TimeoutError:
            return

    def answer(self) -> Call:
        """What it was rung for since the last answer."""
        call = Call(self._look, self._rescan, tuple(self._jobs), self._journalling)
        self._journalling = {}
        self._rung.clear()
        self._look = self._rescan = False
        self._jobs.clear()
        return call
