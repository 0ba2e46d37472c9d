"""Jobs that wait for what will not come: refused when no server can run them, expired in the end."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from cloud.clients.queue import Bell, Queue
from cloud.repositories.database import Database
from cloud.repositories.lanes import Lane, LaneHead
from cloud.repositories.servers import ServerRecord
from cloud.repositories.unit import Unit
from cloud.services.endings import Ending, Endings
from cloud.services.lane_needs import GRAPH, labels_lacking, lacking, lane_title
from shared.api.servers import BreakerState, ServerState
from shared.engines.base import Capabilities
from shared.failpoints import failpoint
from shared.jobs.events import Expired, Failed
from shared.jobs.state import JobState
from shared.presets.bundle import Preset
from shared.presets.requirement import Missing

__all__ = ["NO_SERVER", "Waiting", "lacking_everywhere"]

NO_SERVER = "no_server"
_MOST_AT_ONCE = 500


class Waiting:
    """`longest` is how long a job may wait before it expires."""

    def __init__(
        self,
        *,
        database: Database,
        queue: Queue,
        endings: Endings,
        presets: Mapping[str, Preset],
        longest: timedelta,
        utcnow: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._queue = queue
        self._endings = endings
        self._presets = presets
        self._longest = longest
        self._utcnow = utcnow

    async def refuse(self, lane: LaneHead) -> int:
        """Fail the jobs of the lane if every server of its pool was asked since, and none can run them."""
        if lane.preset != GRAPH and lane.preset not in self._presets:
            return 0

        def work(unit: Unit) -> int:
            said = unit.servers.capabilities(lane.pool)
            servers = [server for server in unit.servers.all(pool=lane.pool) if _counts(server, said)]
            fitting = [server for server in servers if not labels_lacking(lane.models, server.labels)]
            lacks = [self._lack(lane, server, said) for server in fitting or servers]
            missing = lacking_everywhere(lacks)
            return self._fail_lane(unit, lane, missing) if missing else 0

        total = 0
        while count := await self._database.write(work):
            total += count
            failpoint("refuse.committed")
        if total:
            await self._queue.ring(Bell.EVENTS)
        return total

    def _lack(
        self, lane: LaneHead, server: ServerRecord, said: Mapping[str, tuple[Capabilities, datetime]]
    ) -> tuple[Missing, ...] | None:
        """None while nothing is known of it."""
        labels = labels_lacking(lane.models, server.labels)
        can = _said_since(said.get(server.name), lane.oldest_at, server)
        return labels or (None if can is None else lacking(lane, self._presets, can, server.labels))

    async def expire(self) -> int:
        """End what has waited for too long; how many jobs that were."""

        def work(unit: Unit) -> int:
            ended = (
                *unit.waiting.end_late(JobState.EXPIRED, limit=_MOST_AT_ONCE),
                *unit.waiting.end_older(self._longest, JobState.EXPIRED, limit=_MOST_AT_ONCE),
            )
            now = self._utcnow()
            self._endings.note_all(
                unit,
                [Ending.of(job, Expired(job_id=job.job_id, attempt=job.attempt, at=now)) for job in ended],
            )
            return len(ended)

        total = 0
        while count := await self._database.write(work):
            total += count
            failpoint("expire.committed")
        if total:
            await self._queue.ring(Bell.EVENTS)
        return total

    def _fail_lane(self, unit: Unit, lane: Lane, missing: Sequence[Missing]) -> int:
        needs = "; ".join(item.message for item in missing)
        message = f"no server can run {lane_title(lane, self._presets)}: {needs}"
        ended = unit.waiting.end_lane(
            lane,
            JobState.FAILED,
            limit=_MOST_AT_ONCE,
            failure_code=NO_SERVER,
            failure_message=message,
            failure_retryable=False,
        )
        now = self._utcnow()
        self._endings.note_all(
            unit,
            [
                Ending.of(
                    job,
                    Failed(
                        job_id=job.job_id,
                        attempt=job.attempt,
                        at=now,
                        code=NO_SERVER,
                        message=message,
                        retryable=False,
                    ),
                )
                for job in ended
            ],
        )
        return len(ended)


def lacking_everywhere(lacks: Sequence[tuple[Missing, ...] | None]) -> tuple[Missing, ...]:
    """What the server lacks that lacks least; nothing if there is none, or one that can, or one (None)
    of which nothing is known."""
    known = [lack for lack in lacks if lack is not None]
    if not known or len(known) < len(lacks):
        return ()
    return min(known, key=len)


def _counts(server: ServerRecord, said: Mapping[str, tuple[Capabilities, datetime]]) -> bool:
    """One that is disabled, or that has never been heard of and fails, is nothing to wait for."""
    has_failed = server.breaker.state is not BreakerState.CLOSED
    return server.state is not ServerState.DISABLED and not (has_failed and server.name not in said)


def _said_since(
    said: tuple[Capabilities, datetime] | None, since: datetime, server: ServerRecord
) -> Capabilities | None:
    """What it said last, unless it is there and shall be asked again: a model may have come meanwhile."""
    if said is None:
        return None
    capabilities, at = said
    is_old = at < since and server.breaker.state is BreakerState.CLOSED
    return None if is_old else capabilities
