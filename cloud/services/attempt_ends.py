"""How attempts end, within the transaction that ends them: for good, or with another one to follow."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TypedDict

from cloud.errors import Fenced
from cloud.repositories.attempt import AttemptRef, Failure, Held
from cloud.repositories.lanes import Lane
from cloud.repositories.unit import Unit
from cloud.services.attempt_rules import AttemptRules
from cloud.services.concurrency import is_over
from cloud.services.endings import Ending, Endings
from cloud.services.lane_needs import lacking
from shared.api.jobs import AttemptEnd
from shared.jobs.events import Cancelled, Failed, Requeued, TerminalEvent
from shared.presets.bundle import Preset

__all__ = ["AttemptEnds", "EventHead", "still_held"]


class EventHead(TypedDict):
    """What every event of an attempt begins with."""

    job_id: str
    attempt: int
    at: datetime


class AttemptEnds:
    """Each method raises Fenced where the attempt no longer holds its job. Those that end a job are true
    if its account had as much at work as it may, so that nobody took what it has waiting."""

    def __init__(
        self,
        *,
        endings: Endings,
        rules: AttemptRules,
        presets: Mapping[str, Preset],
        utcnow: Callable[[], datetime],
    ) -> None:
        self._endings = endings
        self._rules = rules
        self._presets = presets
        self._utcnow = utcnow

    def head(self, ref: AttemptRef) -> EventHead:
        return {"job_id": ref.job_id, "attempt": ref.number, "at": self._utcnow()}

    def fail(
        self, unit: Unit, ref: AttemptRef, failure: Failure, *, how: AttemptEnd = AttemptEnd.FAILED
    ) -> bool:
        held = still_held(unit.claims.fail(ref, how, failure), ref)
        event = Failed(
            **self.head(ref), code=failure.code, message=failure.message, retryable=failure.retryable
        )
        return self.end_all(unit, [(held, event)])

    def cancel(self, unit: Unit, ref: AttemptRef, *, how: AttemptEnd = AttemptEnd.CANCELLED) -> bool:
        held = still_held(unit.claims.cancel(ref, how), ref)
        return self.end_all(unit, [(held, Cancelled(**self.head(ref)))])

    def end_all(self, unit: Unit, ended: Sequence[tuple[Held, TerminalEvent]]) -> bool:
        """In the order in which the repositories gave them."""
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

    def give_back(
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
        """Another attempt follows, unless the job is no longer wanted or has had its share of them.

        `crashes` are those of the job with this one, where it may have been one.
        """
        held = still_held(unit.claims.look(ref), ref)
        if held.cancel_requested:
            self.cancel(unit, ref, how=how)
        elif crashes is not None and crashes >= self._rules.max_crashes:
            message = f"the job was stopped after it ended {crashes} workers; change its input or its preset"
            self.fail(unit, ref, Failure("poison", message, retryable=False), how=how)
        elif how is not AttemptEnd.RELEASED and self._is_last(unit, ref):
            message = f"the job was given up after {ref.number} attempts; try it again later"
            self.fail(unit, ref, Failure("too_many_attempts", message, retryable=True), how=how)
        else:
            elsewhere = avoid is not None and self._can_elsewhere(unit, held.lane, avoid)
            changes: dict[str, object] = {"avoid": avoid} if elsewhere else {}
            changes |= {} if crashes is None else {"crashes": crashes}
            changes |= {"alone": True} if suspect else {}
            unit.claims.requeue(ref, how, reason=code, changes=changes)
            unit.events.add(held.lane.account_id, Requeued(**self.head(ref), reason=reason))
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


def still_held(held: Held | None, ref: AttemptRef) -> Held:
    """Raises Fenced."""
    if held is None:
        raise Fenced("this attempt no longer holds its job", job=ref.job_id, attempt=ref.number)
    return held
