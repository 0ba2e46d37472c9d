"""How workers come to their jobs: what waits for them, and who takes it."""

from collections.abc import Callable, Collection
from datetime import timedelta

from cloud.clients.queue import Bell, Queue
from cloud.repositories.attempt import AttemptRef, Claim
from cloud.repositories.database import Database
from cloud.repositories.lanes import Backlog, Lane
from cloud.repositories.standing import Scene
from cloud.repositories.unit import Unit
from cloud.services.concurrency import is_over, without_full_accounts
from shared.errors import TransientError
from shared.failpoints import failpoint

__all__ = ["Claiming"]


class _AccountFull(TransientError):
    code = "account_full"


class Claiming:
    """`lease` is how long what was claimed is held unheard."""

    def __init__(self, *, database: Database, queue: Queue, lease: timedelta) -> None:
        self._database = database
        self._queue = queue
        self._lease = lease

    async def backlog(self, pools: Collection[str]) -> Backlog:
        """What waits for these pools, of accounts that may have one more job at work."""
        return await self._database.read(lambda unit: without_full_accounts(unit.lanes.backlog(pools)))

    async def scene(self, pools: Collection[str]) -> Scene:
        """What waits for these pools, and how the servers stand."""
        return await self._database.read(
            lambda unit: Scene(
                without_full_accounts(unit.lanes.backlog(pools)), unit.standing.of_pools(pools)
            )
        )

    async def suspects(self, pools: Collection[str], *, waited_s: float) -> tuple[Lane, ...]:
        """Lanes in which a job that must not share a worker has waited for so long to be tried again."""
        waited = timedelta(seconds=waited_s)
        return await self._database.read(lambda unit: unit.claims.suspects(pools, waited))

    async def claim(self, lane: Lane, *, worker: str, server: str | None = None) -> Claim | None:
        """The oldest job of the lane that this worker may take; None if others were quicker.

        `worker` is one name per process and start: what dies together bears one name. `server` is
        the one that is to run it, which from then on holds the lane's preset.
        """
        return next(iter(await self.claim_some(lane, 1, worker=worker, server=server)), None)

    async def claim_some(
        self, lane: Lane, most: int, *, worker: str, server: str | None = None
    ) -> tuple[Claim, ...]:
        """The oldest jobs of the lane, as many as there are and the account may have at work."""

        def work(unit: Unit) -> tuple[Claim, ...]:
            claims = unit.claims.claim_oldest(lane, worker, self._lease, server=server, most=most)
            failpoint("claim.taken")
            return _taken(unit, claims, server)

        claims = await self._claimed(work)
        if claims is None and most > 1:  # there is room for some of them at most
            return await self.claim_some(lane, 1, worker=worker, server=server)
        return claims or ()

    async def claim_left(self, server: str, *, worker: str) -> Claim | None:
        """The oldest job of which a worker that died left a run at this server."""

        def work(unit: Unit) -> tuple[Claim, ...]:
            claim = unit.claims.claim_left(server, worker, self._lease)
            return _taken(unit, () if claim is None else (claim,), server)

        return next(iter(await self._claimed(work) or ()), None)

    async def ask_back(
        self, pools: Collection[str], server: str, able: Callable[[Lane], bool]
    ) -> AttemptRef | None:
        """Have one job handed back that waits behind another elsewhere, for this idle server."""

        def work(unit: Unit) -> AttemptRef | None:
            waiting = (item.ref for item in unit.standing.behind(pools, server) if able(item.lane))
            return next((ref for ref in waiting if unit.standing.ask_back(ref)), None)

        asked = await self._database.write(work)
        if asked is not None:
            failpoint("ask_back.committed")
            await self._queue.ring(Bell.CANCELS)
        return asked

    async def _claimed(self, work: Callable[[Unit], tuple[Claim, ...]]) -> tuple[Claim, ...] | None:
        try:
            return await self._database.write(work)
        except _AccountFull:
            return None


def _taken(unit: Unit, claims: tuple[Claim, ...], server: str | None) -> tuple[Claim, ...]:
    """What was claimed of one lane, unless its account has enough at work: then the claims are undone."""
    if claims:
        lane = claims[0].lane
        if is_over(*unit.claims.at_work(lane.account_id)):
            raise _AccountFull("the account has as many jobs at work as its plan allows")
        unit.lanes.leave(lane, count=len(claims))
        if server is not None:
            unit.servers.hold(server, lane.preset)
    return claims
