"""Answers to "why does this job wait" and "why is this server not used"."""

from collections.abc import Mapping

from cloud.errors import NotFound
from cloud.repositories.database import Database
from cloud.repositories.lanes import Lane
from cloud.repositories.leads import WORKER_ALIVE
from cloud.repositories.standing import Standing
from cloud.repositories.unit import Unit
from cloud.services.callers import Caller, Operator, Scope
from cloud.services.lane_needs import labels_lacking, lacking
from cloud.services.plans import entitlements_of
from cloud.services.waiting_words import (
    JobFacts,
    ServerFact,
    ServerFacts,
    reasons_of_job,
    reasons_of_server,
)
from shared.api.waiting import JobWaiting, ServerWhy
from shared.engines.base import Capabilities
from shared.presets.bundle import Preset
from shared.presets.requirement import Missing

__all__ = ["Why"]


class Why:
    def __init__(self, *, database: Database, presets: Mapping[str, Preset]) -> None:
        self._database = database
        self._presets = presets

    async def job(self, caller: Caller, job_id: str) -> JobWaiting:
        caller.require(Scope.READ)
        return await self._database.read(lambda unit: self._of_job(unit, job_id, caller.account_id))

    async def any_job(self, operator: Operator, job_id: str) -> JobWaiting:
        """Whosever it is."""

        def work(unit: Unit) -> JobWaiting:
            unit.audit.add(operator.name, "job.why", job_id, {}, request_id=operator.request_id)
            return self._of_job(unit, job_id, None)

        return await self._database.write(work)

    async def server(self, operator: Operator, name: str) -> ServerWhy:
        def work(unit: Unit) -> ServerWhy:
            unit.audit.add(operator.name, "server.why", name, {}, request_id=operator.request_id)
            return self._of_server(unit, name)

        return await self._database.write(work)

    def _of_job(self, unit: Unit, job_id: str, account_id: str | None) -> JobWaiting:
        place = unit.places.find(job_id, account_id=account_id)
        if place is None:
            raise NotFound("there is no such job", job=job_id)
        pool = place.lane.pool
        said = unit.servers.capabilities(pool)
        facts = JobFacts(
            place=place,
            most_at_work=entitlements_of(place.plan).concurrency,
            workers=len(unit.leads.workers(WORKER_ALIVE)),
            servers=[
                ServerFact(standing=standing, missing=self._missing(place.lane, said, standing))
                for standing in unit.standing.of_pools([pool])
            ],
            waiting=frozenset(lane.preset for lane in unit.lanes.backlog([pool]).lanes),
        )
        return JobWaiting(job=place.job_id, state=place.state, reasons=reasons_of_job(facts))

    def _of_server(self, unit: Unit, name: str) -> ServerWhy:
        server = unit.servers.find(name)
        if server is None:
            raise NotFound(f"there is no server {name}", server=name)
        standing = Standing(server, unit.standing.jobs_at(name))
        said = unit.servers.capabilities(server.pool)
        lanes = unit.lanes.backlog([server.pool]).lanes
        lacks = {lane: self._missing(lane, said, standing) for lane in lanes}
        first = {item.name: item for missing in lacks.values() for item in missing or ()}
        facts = ServerFacts(
            standing=standing,
            workers=len(unit.leads.workers(WORKER_ALIVE)),
            waiting=sum(lane.waiting for lane in lanes),
            able=sum(lane.waiting for lane in lanes if not lacks[lane]),
            lacks=list(first.values()),
        )
        return ServerWhy(server=name, reasons=reasons_of_server(facts))

    def _missing(
        self, lane: Lane, said: Mapping[str, tuple[Capabilities, object]], standing: Standing
    ) -> tuple[Missing, ...] | None:
        server = standing.server
        if server.name not in said:
            return labels_lacking(lane.models, server.labels) or None
        return lacking(lane, self._presets, said[server.name][0], server.labels)
