"""How workers drive the jobs that they hold: every step is one transaction that names the attempt.

A step by an attempt that no longer holds its job raises Fenced: the worker stops and touches
nothing. Events are written in the transaction that causes them; bells are rung after it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cloud.clients.queue import Bell, Queue
from cloud.errors import Fenced
from cloud.repositories.artifacts import ArtifactFacts
from cloud.repositories.attempt import AttemptRef, Failure, Held, HeldByRef, NewTicket
from cloud.repositories.database import Database
from cloud.repositories.unit import Unit
from cloud.services.attempt_ends import AttemptEnds, still_held
from cloud.services.recipes import Making, recipe_of
from shared.api.jobs import AttemptEnd
from shared.engines.base import Ticket
from shared.failpoints import failpoint
from shared.jobs.events import Completed, JobEvent, Output, Stage, StageName, Started

__all__ = ["Attempts", "Made", "Order", "Place", "require_held"]


class Order(StrEnum):
    """What a heartbeat brings back."""

    GO_ON = "go_on"
    CANCEL = "cancel"  # still ours, but no longer wanted
    HAND_BACK = "hand_back"  # still ours; if it only waits, an idle server would take it
    STOP = "stop"  # no longer ours


@dataclass(frozen=True, slots=True)
class Place:
    """Where an attempt runs; `server` where it is a GPU server's."""

    engine: str
    server: str | None


@dataclass(frozen=True, slots=True)
class Made:
    outputs: Sequence[Output]
    making: Making | None


class Attempts:
    def __init__(
        self,
        *,
        database: Database,
        queue: Queue,
        ends: AttemptEnds,
        lease: timedelta,
        utcnow: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._queue = queue
        self._ends = ends
        self._lease = lease
        self._utcnow = utcnow

    async def heartbeat(self, ref: AttemptRef) -> Order:
        """Renew the lease."""
        held = await self._database.write(lambda unit: unit.claims.renew(ref, self._lease))
        if held is None:
            return Order.STOP
        if held.cancel_requested:
            return Order.CANCEL
        return Order.HAND_BACK if held.hand_back else Order.GO_ON

    async def store_ticket(
        self, ref: AttemptRef, ticket: Ticket, *, server: str | None = None, version: str | None = None
    ) -> None:
        """Before the engine is asked to start: a later attempt finds the run by it. `version` is that of
        an engine without a server."""
        new = NewTicket(
            ref=ref, engine=ticket.engine, server=server, ticket=ticket.to_json(), version=version
        )
        require_held(ref, await self.store_tickets((new,)))

    async def store_tickets(self, tickets: Collection[NewTicket]) -> Collection[AttemptRef]:
        """Which of the attempts still hold their jobs; so with all that takes several."""

        def work(unit: Unit) -> Collection[AttemptRef]:
            held = unit.claims.look_all([new.ref for new in tickets])
            unit.claims.store_tickets([new for new in tickets if new.ref in held])
            return held

        return await self._database.write(work)

    async def mark_running(self, ref: AttemptRef, *, engine: str, server: str | None = None) -> None:
        """Execution has begun: from here on, a crash counts against the job."""
        require_held(ref, await self.mark_all_running({ref: Place(engine, server)}))

    async def mark_all_running(self, begun: Mapping[AttemptRef, Place]) -> Collection[AttemptRef]:
        def work(unit: Unit) -> Collection[AttemptRef]:
            held = unit.claims.begin(begun)
            for ref, job in held.items():
                place = begun[ref]
                event = Started(**self._ends.head(ref), engine=place.engine, server=place.server)
                self._add_event(unit, job, event)
            failpoint("begin.written")
            return held

        held = await self._database.write(work)
        failpoint("begin.committed")
        await self._queue.ring(Bell.EVENTS)
        return held

    async def set_stage(self, ref: AttemptRef, stage: StageName) -> None:
        def work(unit: Unit) -> None:
            held = still_held(unit.claims.set_stage(ref, stage), ref)
            self._add_event(unit, held, Stage(**self._ends.head(ref), name=stage))

        await self._database.write(work)
        await self._queue.ring(Bell.EVENTS)

    async def begin_saving(self, ref: AttemptRef, outputs: Collection[Output] = ()) -> None:
        """The engine is done, and these outputs of it may be stored. Raises BeingDeleted."""
        require_held(ref, await self.begin_saving_all({ref: outputs}))

    async def begin_saving_all(
        self, ended: Mapping[AttemptRef, Collection[Output]]
    ) -> Collection[AttemptRef]:
        def work(unit: Unit) -> Collection[AttemptRef]:
            held = unit.claims.begin_saving(ended)
            for ref, job in held.items():
                _announce(unit, job, ended[ref])
            return held

        return await self._database.write(work)

    async def announce(self, ref: AttemptRef, output: Output) -> None:
        """It may be stored now. Raises BeingDeleted."""
        await self._database.write(
            lambda unit: _announce(unit, still_held(unit.claims.look(ref), ref), (output,))
        )

    async def complete(
        self, ref: AttemptRef, outputs: Sequence[Output], *, making: Making | None = None
    ) -> None:
        """The outputs were checked and lie in the store under their digests. `making` tells how they
        were made."""
        require_held(ref, await self.complete_all({ref: Made(outputs, making)}))

    async def complete_all(self, made: Mapping[AttemptRef, Made]) -> Collection[AttemptRef]:
        def work(unit: Unit) -> tuple[Collection[AttemptRef], bool]:
            held = unit.claims.complete(made)
            for ref, job in held.items():
                self._add_outputs(unit, job, made[ref])
            _touch_inputs(unit, held, made)
            ended = [
                (job, Completed(**self._ends.head(ref), outputs=tuple(made[ref].outputs)))
                for ref, job in held.items()
            ]
            makes_room = self._ends.end_all(unit, ended)
            failpoint("complete.written")
            return held, makes_room

        held, makes_room = await self._database.write(work)
        failpoint("complete.committed")
        await self._ring_ended(makes_room=makes_room)
        return held

    def _add_outputs(self, unit: Unit, held: Held, made: Made) -> None:
        account_id, making = held.lane.account_id, made.making
        for output in made.outputs:
            facts = ArtifactFacts(output.media_type, output.width, output.height)
            unit.artifacts.add_made(account_id, output.digest, output.bytes, facts)
        unit.claims.add_outputs(held.ref, made.outputs, self._recipes(unit, held.ref, made.outputs, making))

    async def fail(self, ref: AttemptRef, *, code: str, message: str, retryable: bool) -> None:
        """For good: `retryable` says whether the user may find that a new job works."""
        failure = Failure(code, message, retryable)
        makes_room = await self._database.write(lambda unit: self._ends.fail(unit, ref, failure))
        failpoint("fail.committed")
        await self._ring_ended(makes_room=makes_room)

    async def cancelled(self, ref: AttemptRef) -> None:
        """The engine has stopped, as the user asked."""
        makes_room = await self._database.write(lambda unit: self._ends.cancel(unit, ref))
        failpoint("cancelled.committed")
        await self._ring_ended(makes_room=makes_room)

    async def release(self, ref: AttemptRef, *, reason: str) -> None:
        """Give the job back unfinished, by no fault of its own: the attempt does not count.
        A job that is no longer wanted ends cancelled."""
        await self._database.write(lambda unit: self._ends.give_back(unit, ref, AttemptEnd.RELEASED, reason))
        failpoint("release.committed")
        await self._ring_all()

    async def break_off(self, ref: AttemptRef, *, code: str, reason: str, avoid: str | None = None) -> None:
        """The engine failed it: another attempt follows, not at the server `avoid` if others
        can run it and fare well."""

        def work(unit: Unit) -> None:
            self._ends.give_back(unit, ref, AttemptEnd.BROKEN_OFF, reason, code=code, avoid=avoid)

        await self._database.write(work)
        failpoint("break_off.committed")
        await self._ring_all()

    def _add_event(self, unit: Unit, held: Held, event: JobEvent) -> None:
        unit.events.add(held.lane.account_id, event)

    def _recipes(
        self, unit: Unit, ref: AttemptRef, outputs: Sequence[Output], making: Making | None
    ) -> list[str]:
        if making is None or not outputs:
            return []
        at, now = unit.claims.workplace(ref), self._utcnow()
        return [recipe_of(making, output, at=at, made_at=now).model_dump_json() for output in outputs]

    async def _ring_ended(self, *, makes_room: bool) -> None:
        """The worker itself knows that it has room; those of other pools wait for the account's."""
        if makes_room:
            await self._queue.ring(Bell.JOBS)
        await self._queue.ring(Bell.EVENTS)

    async def _ring_all(self) -> None:
        await self._queue.ring(Bell.JOBS)
        await self._queue.ring(Bell.EVENTS)


def _announce(unit: Unit, held: Held, outputs: Collection[Output]) -> None:
    for output in outputs:
        unit.artifacts.announce(held.lane.account_id, output.digest, output.bytes)


def _touch_inputs(unit: Unit, held: HeldByRef, made: Mapping[AttemptRef, Made]) -> None:
    digests: dict[str, set[str]] = {}
    for ref, job in held.items():
        making = made[ref].making
        if making is not None:
            digests.setdefault(job.lane.account_id, set()).update(making.input_digests)
    for account_id, used in digests.items():
        unit.artifacts.touch(account_id, sorted(used))


def require_held(ref: AttemptRef, held: Collection[AttemptRef]) -> None:
    """Raises Fenced."""
    if ref not in held:
        raise Fenced("this attempt no longer holds its job", job=ref.job_id, attempt=ref.number)
