"""Jobs taken back from workers that fell silent."""

from cloud.clients.queue import Bell, Queue
from cloud.repositories.database import Database
from cloud.repositories.unit import Unit
from cloud.services.attempt_ends import AttemptEnds
from shared.api.jobs import AttemptEnd
from shared.failpoints import failpoint

__all__ = ["Reaping"]


class Reaping:
    def __init__(self, *, database: Database, queue: Queue, ends: AttemptEnds) -> None:
        self._database = database
        self._queue = queue
        self._ends = ends

    async def reap_all(self) -> int:
        """For a process that is the only one, before it works: whatever is held was held by the dead."""
        await self._database.write(lambda unit: unit.claims.expire_all())
        failpoint("reap.expired")
        total = 0
        while count := await self.reap():
            total += count
        return total

    async def reap(self, *, limit: int = 100) -> int:
        """Take jobs back whose lease ran out; how many there were."""

        def work(unit: Unit) -> int:
            lost = unit.claims.lost(limit)
            for attempt in lost:
                counts = attempt.begun and attempt.suspects == 1
                self._ends.give_back(
                    unit,
                    attempt.held.ref,
                    AttemptEnd.LOST,
                    "the worker stopped answering",
                    crashes=attempt.crashes + counts,
                    suspect=attempt.begun,
                )
            if lost:
                failpoint("reap.written")
            return len(lost)

        count = await self._database.write(work)
        if count:
            failpoint("reap.committed")
            await self._queue.ring(Bell.JOBS)
            await self._queue.ring(Bell.EVENTS)
        return count
