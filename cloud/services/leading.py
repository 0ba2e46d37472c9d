"""How workers lead servers: they divide them among themselves, look after them, and write down how
each fares. Only a server's leader writes of it."""

import math
import random
from collections.abc import Collection, Mapping
from datetime import timedelta

from cloud.clients.queue import Bell, Queue
from cloud.clients.secret_box import SecretBox
from cloud.repositories.database import Database
from cloud.repositories.leads import Leads
from cloud.repositories.servers import ServerFacts, ServerRecord, Switch
from cloud.repositories.unit import Unit
from cloud.services.attempt_rules import AttemptRules
from cloud.services.breaker import BreakerRules, after_answer, after_failure, after_success, opened
from shared.api.servers import BreakerState
from shared.engines.base import Capabilities, Ticket
from shared.failpoints import failpoint

__all__ = ["Leading", "averaged", "gives_up", "share_of"]

_GIVEN_UP_WITHIN = timedelta(days=1)
_WEIGHT = 0.3  # of the newest measurement in the mean


class Leading:
    def __init__(
        self,
        *,
        database: Database,
        queue: Queue,
        box: SecretBox,
        rules: AttemptRules,
        breaker_rules: BreakerRules,
    ) -> None:
        self._database = database
        self._queue = queue
        self._box = box
        self._lease = rules.lease
        self._breaker_rules = breaker_rules

    async def lead(self, worker: str, *, idle: Collection[str]) -> tuple[ServerRecord, ...]:
        """The servers that this worker leads from now until the lease is over, its share of them all.

        To be said a few times within each lease. One of the `idle` ones goes to a worker with less.
        """

        def work(unit: Unit) -> tuple[ServerRecord, ...]:
            unit.leads.see_worker(worker)
            unit.leads.renew(worker, self._lease)
            leads = unit.leads.look(unit.leads.workers(self._lease))
            if leads.free:
                wanted = leads.free[: share_of(leads) - leads.of_worker.get(worker, 0)]
                unit.leads.take(worker, wanted, self._lease)
            led = tuple(server for server in unit.servers.all() if server.led_by == worker)
            free = [server.name for server in led if server.name in idle]
            if not leads.free and free and gives_up(leads, worker):
                unit.leads.give_up(worker, free[:1])
                led = tuple(server for server in led if server.name != free[0])
            failpoint("server.leading")
            return led

        return await self._database.write(work)

    async def leave(self, worker: str) -> None:
        """The worker ends: others lead at once."""
        await self._database.write(lambda unit: unit.leads.leave(worker))
        failpoint("server.left")
        await self._queue.ring(Bell.SERVERS)

    async def begin_alone(self) -> None:
        """For a process that is the only one, before it works: whoever led servers is dead."""
        await self._database.write(lambda unit: unit.leads.forget_all())

    async def forget_workers(self) -> int:
        """Those that died without a word."""
        return await self._database.write(lambda unit: unit.leads.forget_workers(100 * self._lease))

    def authorization(self, server: ServerRecord) -> str | None:
        """Raises SecretUnreadable."""
        return None if server.credential is None else self._box.open(server.credential)

    async def capabilities(self, pool: str) -> Mapping[str, Capabilities]:
        """What each server of the pool last said it can run."""
        said = await self._database.read(lambda unit: unit.servers.capabilities(pool))
        return {name: capabilities for name, (capabilities, _) in said.items()}

    async def given_up(self, name: str) -> frozenset[str]:
        """Runs that may still be there although nobody waits for them."""
        tickets = await self._database.read(lambda unit: unit.standing.given_up(name, _GIVEN_UP_WITHIN))
        return frozenset(Ticket.from_json(ticket).run_id for ticket in tickets)

    async def note_answer(
        self, name: str, facts: ServerFacts, capabilities: Capabilities | None
    ) -> ServerRecord | None:
        """The server answered; `capabilities` where it was asked for them. None if it was removed."""

        def work(unit: Unit) -> ServerRecord | None:
            unit.servers.note_facts(name, facts)
            if capabilities is not None:
                unit.servers.note_capabilities(name, capabilities)
            server = unit.servers.find(name)
            if server is None:
                return None
            breaker = after_answer(server.breaker, now=server.read_at)
            if breaker != server.breaker:
                unit.servers.set_breaker(name, breaker)
            return unit.servers.find(name)

        return await self._database.write(work)

    async def note_failure(self, name: str, trouble: str, *, at_once: bool = False) -> ServerRecord | None:
        """`at_once`: the breaker opens, however often it failed before."""
        turn = opened if at_once else after_failure

        def work(unit: Unit) -> ServerRecord | None:
            server = unit.servers.find(name)
            if server is None:
                return None
            breaker = turn(
                server.breaker, trouble, now=server.read_at, jitter=random.random(), rules=self._breaker_rules
            )
            unit.servers.set_breaker(name, breaker)
            if breaker.state is BreakerState.OPEN:
                unit.servers.hold_nothing(name)
            return unit.servers.find(name)

        noted = await self._database.write(work)
        failpoint("server.failure_noted")
        await self._queue.ring(Bell.JOBS)  # others may take what this one cannot
        return noted

    async def note_success(self, name: str) -> ServerRecord | None:
        """A job has gone well there."""

        def work(unit: Unit) -> ServerRecord | None:
            server = unit.servers.find(name)
            if server is not None:
                unit.servers.set_breaker(name, after_success(server.breaker))
            return unit.servers.find(name)

        return await self._database.write(work)

    async def note_switch(self, name: str, preset: str, seconds: float, *, cold: bool) -> None:
        """How long it took from a run's start to its first progress."""

        def work(unit: Unit) -> None:
            server = unit.servers.find(name)
            if server is not None:
                known = server.switches.get(preset, Switch())
                unit.servers.set_switches(
                    name, {**server.switches, preset: averaged(known, seconds, cold=cold)}
                )

        await self._database.write(work)


def share_of(leads: Leads) -> int:
    """How many servers a worker leads at most."""
    servers = sum(leads.of_worker.values()) + len(leads.free)
    return math.ceil(servers / max(1, len(leads.of_worker)))


def gives_up(leads: Leads, worker: str) -> bool:
    """Whether this worker should hand one over: it has the most, and somebody has at least two less."""
    counts = leads.of_worker
    mine = counts.get(worker, 0)
    most = [name for name, count in counts.items() if count == max(counts.values())]
    return mine >= min(counts.values(), default=0) + 2 and worker == min(most)


def averaged(known: Switch, seconds: float, *, cold: bool) -> Switch:
    """Newer measurements count more."""
    before = known.cold_s if cold else known.warm_s
    mean = seconds if before is None else before + _WEIGHT * (seconds - before)
    return Switch(mean, known.warm_s) if cold else Switch(known.cold_s, mean)
