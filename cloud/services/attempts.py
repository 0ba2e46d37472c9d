"""How workers drive jobs: every step is one transaction that names the attempt.

A step by an attempt that no longer holds its job raises Fenced: the worker stops and touches
nothing. Events are written in the transaction that causes them; bells are rung after it.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypedDict

from cloud.clients.queue import Bell, Queue
from cloud.errors import Fenced
from cloud.repositories.artifacts import ArtifactFacts
from cloud.repositories.attempt import AttemptEnd, AttemptRef, Claim, Failure, Held, HeldByRef, NewTicket
from cloud.repositories.database import Database
from cloud.repositories.lanes import Backlog, Lane
from cloud.repositories.standing import Scene
from cloud.repositories.unit import Unit
from cloud.services.concurrency import is_over, without_full_accounts
from cloud.services.endings import Ending, Endings
from cloud.services.lane_needs import lacking
from cloud.services.recipes import Making, recipe_of
from shared.engines.base import Ticket
from shared.errors import TransientError
from shared.failpoints import failpoint
from shared.jobs.events import (
    Cancelled,
    Completed,
    Failed,
    JobEvent,
    Output,
    Requeued,
    Stage,
    StageName,
    Started,
    TerminalEvent,
)
from shared.presets.bundle import Preset

__all__ = ["AttemptRules", "Attempts", "Made", "Order", "Place", "require_held"]


class Order(StrEnum):
    """What a heartbeat brings back."""

    GO_ON = "go_on"
    CANCEL = "cancel"  # still ours, but no longer wanted
    HAND_BACK = "hand_back"  # still ours; if it only waits, an idle server would take it
    STOP = "stop"  # no longer ours


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRules:
    """`max_crashes` workers lost to one job end it; so do `max_attempts` tries that came to nothing."""

    lease: timedelta = timedelta(seconds=30)
    max_crashes: int = 3
    max_attempts: int = 20


@dataclass(frozen=True, slots=True)
class Place:
    """Where an attempt runs; `server` where it is a GPU server's."""

    engine: str
    server: str | None


@dataclass(frozen=True, slots=True)
class Made:
    outputs: Sequence[Output]
    making: Making | None


class _AccountFull(TransientError):
    code = "account_full"


class _Head(TypedDict):
    job_id: str
    attempt: int
    at: datetime


class Attempts:
    def __init__(
        self,
        *,
        database: Database,
        queue: Queue,
        endings: Endings,
        rules: AttemptRules,
        presets: Mapping[str, Preset],
        utcnow: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._queue = queue
        self._endings = endings
        self._rules = rules
        self._presets = presets
        self._utcnow = utcnow

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
            claims = unit.claims.claim_oldest(lane, worker, self._rules.lease, server=server, most=most)
            failpoint("claim.taken")
            return _taken(unit, claims, server)

        claims = await self._claimed(work)
        if claims is None and most > 1:  # there is room for some of them at most
            return await self.claim_some(lane, 1, worker=worker, server=server)
        return claims or ()

    async def claim_left(self, server: str, *, worker: str) -> Claim | None:
        """The oldest job of which a worker that died left a run at this server."""

        def work(unit: Unit) -> tuple[Claim, ...]:
            claim = unit.claims.claim_left(server, worker, self._rules.lease)
            return _taken(unit, () if claim is None else (claim,), server)

        return next(iter(await self._claimed(work) or ()), None)

    async def _claimed(self, work: Callable[[Unit], tuple[Claim, ...]]) -> tuple[Claim, ...] | None:
        try:
            return await self._database.write(work)
        except _AccountFull:
            return None

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

    async def heartbeat(self, ref: AttemptRef) -> Order:
        """Renew the lease."""
        held = await self._database.write(lambda unit: unit.claims.renew(ref, self._rules.lease))
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
                event = Started(**self._head(ref), engine=place.engine, server=place.server)
                self._add_event(unit, job, event)
            failpoint("begin.written")
            return held

        held = await self._database.write(work)
        failpoint("begin.committed")
        await self._queue.ring(Bell.EVENTS)
        return held

    async def set_stage(self, ref: AttemptRef, stage: StageName) -> None:
        def work(unit: Unit) -> None:
            held = _still(unit.claims.set_stage(ref, stage), ref)
            self._add_event(unit, held, Stage(**self._head(ref), name=stage))

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
            lambda unit: _announce(unit, _still(unit.claims.look(ref), ref), (output,))
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
                (job, Completed(**self._head(ref), outputs=tuple(made[ref].outputs)))
                for ref, job in held.items()
            ]
            makes_room = self._end_all(unit, ended)
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
        makes_room = await self._database.write(lambda unit: self._fail(unit, ref, code, message, retryable))
        failpoint("fail.committed")
        await self._ring_ended(makes_room=makes_room)

    async def cancelled(self, ref: AttemptRef) -> None:
        """The engine has stopped, as the user asked."""
        makes_room = await self._database.write(lambda unit: self._cancel(unit, ref, AttemptEnd.CANCELLED))
        failpoint("cancelled.committed")
        await self._ring_ended(makes_room=makes_room)

    async def release(self, ref: AttemptRef, *, reason: str) -> None:
        """Give the job back unfinished, by no fault of its own: the attempt does not count.
        A job that is no longer wanted ends cancelled."""
        await self._database.write(lambda unit: self._give_back(unit, ref, AttemptEnd.RELEASED, reason))
        failpoint("release.committed")
        await self._ring_all()

    async def break_off(self, ref: AttemptRef, *, code: str, reason: str, avoid: str | None = None) -> None:
        """The engine failed it: another attempt follows, not at the server `avoid` if others
        can run it and fare well."""

        def work(unit: Unit) -> None:
            self._give_back(unit, ref, AttemptEnd.BROKEN_OFF, reason, code=code, avoid=avoid)

        await self._database.write(work)
        failpoint("break_off.committed")
        await self._ring_all()

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
                self._give_back(
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
            await self._ring_all()
        return count

    def _give_back(
        self,
        unit: Unit,
        ref: AttemptRef,
        how: AttemptEnd,
        reason: str,
        *,
        code: str | None = None,
        avoid: str | None = None,
        crashes: int | None = None,
        suspect: bool = False,
    ) -> None:
        held = _still(unit.claims.look(ref), ref)
        if held.cancel_requested:
            self._cancel(unit, ref, how)
        elif crashes is not None and crashes >= self._rules.max_crashes:
            message = f"the job was stopped after it ended {crashes} workers; change its input or its preset"
            self._fail(unit, ref, "poison", message, retryable=False, how=how)
        elif how is not AttemptEnd.RELEASED and self._is_last(unit, ref):
            message = f"the job was given up after {ref.number} attempts; try it again later"
            self._fail(unit, ref, "too_many_attempts", message, retryable=True, how=how)
        else:
            elsewhere = avoid is not None and self._can_elsewhere(unit, held.lane, avoid)
            changes: dict[str, object] = {"avoid": avoid} if elsewhere else {}
            changes |= {} if crashes is None else {"crashes": crashes}
            changes |= {"alone": True} if suspect else {}
            unit.claims.requeue(ref, how, reason=code, changes=changes)
            self._add_event(unit, held, Requeued(**self._head(ref), reason=reason))
            unit.lanes.enter(held.lane)

    def _can_elsewhere(self, unit: Unit, lane: Lane, server: str) -> bool:
        """Whether another server than this one has what the job needs."""
        said = unit.servers.capabilities(lane.pool)
        return any(
            other.name != server
            and other.name in said
            and lacking(lane, self._presets, said[other.name][0], other.labels) == ()
            for other in unit.servers.all(pool=lane.pool)
        )

    def _is_last(self, unit: Unit, ref: AttemptRef) -> bool:
        most = self._rules.max_attempts
        return ref.number >= most and unit.claims.spent(ref) + 1 >= most

    def _fail(
        self,
        unit: Unit,
        ref: AttemptRef,
        code: str,
        message: str,
        retryable: bool,
        how: AttemptEnd = AttemptEnd.FAILED,
    ) -> bool:
        held = _still(unit.claims.fail(ref, how, Failure(code, message, retryable)), ref)
        return self._end(
            unit, held, Failed(**self._head(ref), code=code, message=message, retryable=retryable)
        )

    def _cancel(self, unit: Unit, ref: AttemptRef, how: AttemptEnd) -> bool:
        held = _still(unit.claims.cancel(ref, how), ref)
        return self._end(unit, held, Cancelled(**self._head(ref)))

    def _end(self, unit: Unit, held: Held, event: TerminalEvent) -> bool:
        return self._end_all(unit, [(held, event)])

    def _end_all(self, unit: Unit, ended: Sequence[tuple[Held, TerminalEvent]]) -> bool:
        """In the order in which the repositories gave them. True if an account had as much at work as
        it may, so that nobody took what it has waiting."""
        endings = [
            Ending(
                lane=held.lane,
                event=event,
                price=held.price,
                batch_id=held.batch_id,
                started_at=held.started_at,
            )
            for held, event in ended
        ]
        self._endings.note_all(unit, endings)
        counts = Counter(ending.account_id for ending in endings)
        held_up = unit.claims.held_up(counts) if counts else {}
        return any(
            is_over(plan, at_work + counts[account_id] + 1) for account_id, (plan, at_work) in held_up.items()
        )

    def _add_event(self, unit: Unit, held: Held, event: JobEvent) -> None:
        unit.events.add(held.lane.account_id, event)

    def _recipes(
        self, unit: Unit, ref: AttemptRef, outputs: Sequence[Output], making: Making | None
    ) -> list[str]:
        if making is None or not outputs:
            return []
        at, now = unit.claims.workplace(ref), self._utcnow()
        return [recipe_of(making, output, at=at, made_at=now).model_dump_json() for output in outputs]

    def _head(self, ref: AttemptRef) -> _Head:
        return {"job_id": ref.job_id, "attempt": ref.number, "at": self._utcnow()}

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


def _still(held: Held | None, ref: AttemptRef) -> Held:
    if held is None:
        raise Fenced("this attempt no longer holds its job", job=ref.job_id, attempt=ref.number)
    return held


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
