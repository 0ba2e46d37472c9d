"""Accounts, jobs and attempts to try the services with."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cloud.clients.queue import LocalQueue
from cloud.repositories.attempt import Claim
from cloud.repositories.database import Database
from cloud.repositories.jobs import InputName, JobRecord, NewJob
from cloud.repositories.lanes import Lane, LaneHead
from cloud.repositories.unit import Unit
from cloud.services.attempt_ends import AttemptEnds
from cloud.services.attempt_rules import AttemptRules
from cloud.services.attempts import Attempts
from cloud.services.claiming import Claiming
from cloud.services.endings import Endings
from cloud.services.reaping import Reaping
from shared.api.events import parse_event
from shared.ids import new_id
from shared.jobs.events import JobEvent, Output, OutputKind
from shared.presets.bundle import Preset

__all__ = ["PICTURE", "POOL", "Desk", "utcnow"]

POOL = "builtin"
PICTURE = Output(
    node="9",
    index=0,
    kind=OutputKind.IMAGE,
    name="a.png",
    media_type="image/png",
    bytes=3,
    digest="b" * 64,
    width=2,
    height=1,
)


def utcnow() -> datetime:
    return datetime.now(UTC)


@dataclass
class Desk:
    """One database, its attempts, and a short way to fill it."""

    database: Database
    rules: AttemptRules = field(default_factory=AttemptRules)
    queue: LocalQueue = field(default_factory=LocalQueue)
    presets: Mapping[str, Preset] = field(default_factory=dict)

    @property
    def attempts(self) -> Attempts:
        return Attempts(
            database=self.database,
            queue=self.queue,
            ends=self._ends,
            lease=self.rules.lease,
            utcnow=utcnow,
        )

    @property
    def claiming(self) -> Claiming:
        return Claiming(database=self.database, queue=self.queue, lease=self.rules.lease)

    @property
    def reaping(self) -> Reaping:
        return Reaping(database=self.database, queue=self.queue, ends=self._ends)

    @property
    def _ends(self) -> AttemptEnds:
        return AttemptEnds(endings=Endings(), rules=self.rules, presets=self.presets, utcnow=utcnow)

    async def account(self) -> str:
        account_id = new_id()
        await self.database.write(lambda unit: unit.accounts.add(account_id, "somebody"))
        return account_id

    async def jobs(self, account_id: str, count: int = 1, *, preset: str = "noir") -> list[str]:
        """Ids of new jobs, the oldest first."""
        lane = Lane(POOL, 0, account_id, preset)
        ids = [new_id() for _ in range(count)]

        def add(unit: Unit) -> None:
            for job_id in ids:
                unit.jobs.add(
                    NewJob(
                        id=job_id,
                        lane=lane,
                        preset_version="1.0.0",
                        preset_digest="d" * 64,
                        values={"amount": 3},
                        inputs={"photo": (InputName("a" * 64, "Ölbild\x00.png"),)},
                    )
                )
                unit.lanes.enter(lane)

        await self.database.write(add)
        return ids

    async def lanes(self) -> tuple[LaneHead, ...]:
        return (await self.claiming.backlog((POOL,))).lanes

    async def claim(self, worker: str = "w1") -> Claim:
        """The oldest job of the only lane."""
        [lane] = await self.lanes()
        claim = await self.claiming.claim(lane, worker=worker)
        assert claim is not None
        return claim

    async def job(self, account_id: str, job_id: str) -> JobRecord:
        found = await self.database.read(lambda unit: unit.jobs.find(account_id, job_id))
        assert found is not None
        return found

    async def events(self, account_id: str) -> list[JobEvent]:
        """All that was written so far, in order."""
        await self.database.write(lambda unit: unit.events.number_unpublished(10_000))
        rows = await self.database.read(
            lambda unit: unit.events.after(account_id, 0, job_id=None, limit=10_000)
        )
        return [parse_event(json.loads(row.body)) for row in rows]

    def let_leases_run_out(self) -> None:
        self.database.clock_offset += self.rules.lease + timedelta(seconds=1)
