"""Jobs as workers hold them: claimed, renewed and ended, each write naming its attempt."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import repeat
from types import MappingProxyType
from typing import Any

from sqlalchemy import Column, Connection, ScalarSelect, String, bindparam, func, insert, or_, select, update
from sqlalchemy.sql.dml import ReturningUpdate, Update

from cloud.repositories.claiming import CLAIM, CLAIM_FOR_SERVER, CLAIM_LEFT
from cloud.repositories.jobs import UNKNOWN_ORIGIN, InputName, Origin, inputs_of
from cloud.repositories.lanes import Lane, lane_values
from cloud.repositories.now import NOW, Clock
from cloud.repositories.servers import SEEN_LATELY
from cloud.tables.account import ACCOUNTS
from cloud.tables.job import ATTEMPTS, JOBS, OUTPUTS
from cloud.tables.server import SERVERS
from shared.errors import JsonValue
from shared.jobs.events import Output, StageName
from shared.jobs.state import JobState, may_become

__all__ = [
    "AttemptEnd",
    "AttemptRef",
    "Claim",
    "ClaimRows",
    "Held",
    "LostAttempt",
    "PreviousAttempt",
    "Workplace",
]

_J = JOBS.c
_A = ATTEMPTS.c
_SAID_LENGTH = 100
_MOMENT = timedelta(seconds=1)
_RUNNING = (JobState.PROCESSING, JobState.SAVING)


class AttemptEnd(StrEnum):
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RELEASED = "released"  # given back whole, by no fault of the job: does not count
    BROKEN_OFF = "broken_off"  # the engine or its server failed
    LOST = "lost"  # the worker did


@dataclass(frozen=True, slots=True)
class AttemptRef:
    """One try at a job. Whoever writes names it, and writes nothing once another has begun."""

    job_id: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousAttempt:
    """An earlier try; its ticket, if it got that far, finds what it left running or finished.
    `reason` is the code of what it came to nothing for."""

    number: int
    worker: str
    server: str | None
    ticket: str | None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A job as a worker takes it. An `alone` one must not share the worker with others. `graph` is JSON,
    where there is one instead of a preset."""

    ref: AttemptRef
    lane: Lane
    preset_version: str
    preset_digest: str
    values: Mapping[str, JsonValue]
    inputs: Mapping[str, tuple[InputName, ...]]
    alone: bool
    graph: str | None = None
    origin: Origin = UNKNOWN_ORIGIN
    previous: tuple[PreviousAttempt, ...] = ()


@dataclass(frozen=True, slots=True)
class Workplace:
    engine: str
    engine_version: str | None
    server_class: str | None


@dataclass(frozen=True, slots=True)
class Held:
    """The job behind an attempt that still holds it; `hand_back` if an idle server would take it."""

    ref: AttemptRef
    lane: Lane
    cancel_requested: bool
    price: int
    batch_id: str | None
    hand_back: bool = False
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LostAttempt:
    """An attempt whose lease ran out. `begun` is true once its execution had begun; `suspects` are
    the attempts that had, when their worker went."""

    held: Held
    worker: str
    crashes: int
    begun: bool
    suspects: int


class ClaimRows:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def claim_oldest(
        self, lane: Lane, worker: str, lease: timedelta, *, server: str | None = None
    ) -> Claim | None:
        """One statement: whoever comes second takes the next job, or none."""
        values = {**lane_values(lane), **self._claiming(worker, lease)}
        if server is None:
            return self._claimed(CLAIM, values, worker, None)
        return self._claimed(CLAIM_FOR_SERVER, values | {"at_server": server}, worker, server)

    def claim_left(self, server: str, worker: str, lease: timedelta) -> Claim | None:
        """The oldest job of which a worker that died left a run at this server."""
        values = self._claiming(worker, lease) | {"at_server": server}
        return self._claimed(CLAIM_LEFT, values, worker, server)

    def _claiming(self, worker: str, lease: timedelta) -> dict[str, object]:
        return {
            **self._clock.stamps_until(lease),
            **self._clock.stamps_since(SEEN_LATELY),
            "claimer": worker,
        }

    def _claimed(
        self, statement: ReturningUpdate[Any], values: dict[str, object], worker: str, server: str | None
    ) -> Claim | None:
        row = self._connection.execute(statement, values).one_or_none()
        if row is None:
            return None
        ref = AttemptRef(row.id, row.attempt)
        lane = _lane(row)
        self._open_attempt(ref, lane, worker, server)
        return Claim(
            ref=ref,
            lane=lane,
            preset_version=row.preset_version,
            preset_digest=row.preset_digest,
            values=row._mapping["values"],
            inputs=inputs_of(row.inputs),
            alone=row.alone,
            graph=row.graph,
            origin=Origin(row.request_id, row.trace),
            previous=self._previous(ref) if ref.number > 1 else (),
        )

    def at_work(self, account_id: str) -> tuple[str, int]:
        """The account's plan and how many of its jobs are at work, asked by whoever has just claimed one:
        others that claim for the same account wait until this transaction has ended."""
        row = self._connection.execute(_AT_WORK, {"busy_account": account_id}).one()
        return row.plan, row.at_work

    def renew(self, ref: AttemptRef, lease: timedelta) -> Held | None:
        return self._update(ref, _RUNNING, lease_until=self._clock.now(lease))

    def expire_all(self) -> None:
        """Whoever held a job is known to be gone."""
        self._connection.execute(
            update(JOBS).where(_J.state.in_(_RUNNING)).values(lease_until=self._clock.now(-_MOMENT))
        )

    def look(self, ref: AttemptRef) -> Held | None:
        """Whether the attempt still holds its job; locks the job until the transaction ends."""
        return self._update(ref, _RUNNING, attempt=_J.attempt)

    def store_ticket(
        self, ref: AttemptRef, engine: str, server: str | None, ticket: str, *, version: str | None = None
    ) -> None:
        """`version` is that of an engine without a server; servers told theirs."""
        self._connection.execute(
            _attempt(ref).values(
                engine=engine,
                server=server,
                server_class=_said_by(server, SERVERS.c.device),
                engine_version=version if server is None else _said_by(server, SERVERS.c.version),
                ticket=ticket,
            )
        )

    def begin(self, ref: AttemptRef) -> Held | None:
        """Execution begins now."""
        held = self._update(
            ref, (JobState.PROCESSING,), started_at=self._clock.now(), stage=StageName.RUNNING
        )
        if held is not None:
            self._connection.execute(_attempt(ref).values(begun_at=self._clock.now()))
        return held

    def set_stage(self, ref: AttemptRef, stage: StageName) -> Held | None:
        return self._update(ref, (JobState.PROCESSING,), stage=stage)

    def begin_saving(self, ref: AttemptRef) -> Held | None:
        """Doing it twice is no error."""
        states = may_become(JobState.SAVING) | {JobState.SAVING}
        return self._update(ref, states, state=JobState.SAVING)

    def workplace(self, ref: AttemptRef) -> Workplace:
        """Where the attempt runs, or ran."""
        row = self._connection.execute(
            select(_A.engine, _A.engine_version, func.coalesce(_A.server_class, _A.engine)).where(
                _A.job_id == ref.job_id, _A.attempt == ref.number
            )
        ).one()
        return Workplace(row[0] or "", row[1], row[2])

    def add_outputs(self, ref: AttemptRef, outputs: Collection[Output], recipes: Sequence[str] = ()) -> None:
        """With as many recipes, or none."""
        if not outputs:
            return
        rows = [
            {
                "job_id": ref.job_id,
                "position": position,
                "attempt": ref.number,
                "node": output.node,
                "index": output.index,
                "kind": output.kind,
                "name": output.name,
                "media_type": output.media_type,
                "bytes": output.bytes,
                "digest": output.digest,
                "width": output.width,
                "height": output.height,
                "recipe": recipe,
            }
            for position, (output, recipe) in enumerate(zip(outputs, recipes or repeat(None), strict=False))
        ]
        self._connection.execute(insert(OUTPUTS), rows)

    def end(self, ref: AttemptRef, state: JobState, how: AttemptEnd, **values: Any) -> Held | None:
        """The job ends in `state`, and its attempt with it."""
        held = self._update(
            ref,
            may_become(state) & set(_RUNNING),
            state=state,
            stage=None,
            worker=None,
            lease_until=None,
            finished_at=self._clock.now(),
            **values,
        )
        if held is not None:
            self._close_attempt(ref, how)
        return held

    def requeue(
        self,
        ref: AttemptRef,
        how: AttemptEnd,
        *,
        reason: str | None = None,
        changes: Mapping[str, object] = MappingProxyType({}),
    ) -> Held | None:
        """Back into its lane, where its number keeps its place. A lost one may still run at its server,
        which is then the first to be asked."""
        stays = {} if how is AttemptEnd.LOST else {"server": None}
        held = self._update(
            ref,
            may_become(JobState.QUEUED),
            state=JobState.QUEUED,
            stage=None,
            worker=None,
            lease_until=None,
            started_at=None,
            hand_back_at=None,
            **stays,
            **changes,
        )
        if held is not None:
            self._close_attempt(ref, how, reason)
        return held

    def spent(self, ref: AttemptRef) -> int:
        """How many attempts before this one count."""
        found = select(func.count()).where(
            _A.job_id == ref.job_id, _A.attempt < ref.number, _A.end != AttemptEnd.RELEASED
        )
        return int(self._connection.execute(found).scalar_one())

    def request_cancel(self, account_id: str, job_id: str) -> bool:
        """False if no worker has the job."""
        changed = self._connection.execute(
            update(JOBS)
            .where(_J.id == job_id, _J.account_id == account_id, _J.state.in_(_RUNNING))
            .values(cancel_requested_at=func.coalesce(_J.cancel_requested_at, self._clock.now()))
            .returning(_J.id)
        )
        return changed.first() is not None

    def request_cancel_of_batch(self, batch_id: str) -> bool:
        """False if no worker has a job of it."""
        changed = self._connection.execute(
            update(JOBS)
            .where(_J.batch_id == batch_id, _J.state.in_(_RUNNING))
            .values(cancel_requested_at=func.coalesce(_J.cancel_requested_at, self._clock.now()))
            .returning(_J.id)
        )
        return changed.first() is not None

    def lost(self, limit: int) -> tuple[LostAttempt, ...]:
        """Attempts whose lease ran out; those that another reaper is at are passed over."""
        rows = self._connection.execute(
            select(_J.id, _J.attempt, *_HELD_COLUMNS, _J.worker, _J.crashes, *_LANE_COLUMNS)
            .where(_J.state.in_(_RUNNING), _J.lease_until < self._clock.now())
            .order_by(_J.number)
            .limit(limit)
            .with_for_update(skip_locked=True)
        ).all()
        begun = self._begun_attempts({row.worker for row in rows})
        return tuple(
            LostAttempt(
                held=_held(AttemptRef(row.id, row.attempt), row),
                worker=row.worker,
                crashes=row.crashes,
                begun=(row.id, row.attempt) in begun.get(row.worker, ()),
                suspects=len(begun.get(row.worker, ())),
            )
            for row in rows
        )

    def _update(self, ref: AttemptRef, states: Collection[JobState], **values: Any) -> Held | None:
        row = self._connection.execute(
            update(JOBS)
            .where(_J.id == ref.job_id, _J.attempt == ref.number, _J.state.in_(states))
            .values(**values)
            .returning(*_HELD_COLUMNS, *_LANE_COLUMNS)
        ).one_or_none()
        return None if row is None else _held(ref, row)

    def _open_attempt(self, ref: AttemptRef, lane: Lane, worker: str, server: str | None) -> None:
        stamps = self._clock.stamps
        row = {"job_id": ref.job_id, "attempt": ref.number, "worker": worker, "server": server}
        self._connection.execute(_OPEN_ATTEMPT, row | stamps)
        self._connection.execute(_SERVED, {"served": lane.account_id, **stamps})

    def _close_attempt(self, ref: AttemptRef, how: AttemptEnd, reason: str | None = None) -> None:
        self._connection.execute(_attempt(ref).values(ended_at=self._clock.now(), end=how, reason=reason))

    def _previous(self, ref: AttemptRef) -> tuple[PreviousAttempt, ...]:
        """The latest first."""
        rows = self._connection.execute(
            select(_A.attempt, _A.worker, _A.server, _A.ticket, _A.reason)
            .where(_A.job_id == ref.job_id, _A.attempt < ref.number)
            .order_by(_A.attempt.desc())
        )
        return tuple(
            PreviousAttempt(
                number=row.attempt,
                worker=row.worker,
                server=row.server,
                ticket=row.ticket,
                reason=row.reason,
            )
            for row in rows
        )

    def _begun_attempts(self, workers: Collection[str]) -> Mapping[str, set[tuple[str, int]]]:
        """Per worker, what it was executing when it went: still open, or already given up as lost."""
        found: dict[str, set[tuple[str, int]]] = {}
        rows = self._connection.execute(
            select(_A.worker, _A.job_id, _A.attempt).where(
                _A.worker.in_(workers),
                _A.begun_at.is_not(None),
                or_(_A.ended_at.is_(None), _A.end == AttemptEnd.LOST),
            )
        )
        for worker, job_id, attempt in rows:
            found.setdefault(worker, set()).add((job_id, attempt))
        return found


_LANE_COLUMNS = (_J.pool, _J.priority, _J.account_id, _J.preset_id, _J.models)
_HELD_COLUMNS = (_J.cancel_requested_at, _J.hand_back_at, _J.price, _J.batch_id, _J.started_at)


def _lane(row: Any) -> Lane:
    return Lane(row.pool, row.priority, row.account_id, row.preset_id, row.models)


def _said_by(server: str | None, column: Column[Any]) -> ScalarSelect[Any]:
    said = select(func.substr(column, 1, _SAID_LENGTH)).where(SERVERS.c.name == server)
    return said.scalar_subquery()


def _held(ref: AttemptRef, row: Any) -> Held:
    return Held(
        ref,
        _lane(row),
        cancel_requested=row.cancel_requested_at is not None,
        price=row.price,
        batch_id=row.batch_id,
        hand_back=row.hand_back_at is not None,
        started_at=row.started_at,
    )


def _attempt(ref: AttemptRef) -> Update:
    return update(ATTEMPTS).where(_A.job_id == ref.job_id, _A.attempt == ref.number)


_AT_WORK = select(
    ACCOUNTS.c.plan,
    select(func.count())
    .where(_J.account_id == ACCOUNTS.c.id, _J.state.in_(_RUNNING))
    .scalar_subquery()
    .label("at_work"),
).where(ACCOUNTS.c.id == bindparam("busy_account", type_=String))
_OPEN_ATTEMPT = insert(ATTEMPTS).values(claimed_at=NOW).inline()
_SERVED = update(ACCOUNTS).where(ACCOUNTS.c.id == bindparam("served", type_=String)).values(served_at=NOW)
