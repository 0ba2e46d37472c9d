"""Jobs as workers hold them: claimed, renewed and ended, each write naming its attempt."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import repeat
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Row, String, and_, bindparam, func, insert, or_, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from cloud.repositories.attempt import (
    AttemptRef,
    Claim,
    Failure,
    Held,
    HeldByRef,
    LostAttempt,
    NewTicket,
    PreviousAttempt,
    Workplace,
)
from cloud.repositories.claiming import CLAIM, CLAIM_FOR_SERVER, CLAIM_LEFT, CLAIM_MORE
from cloud.repositories.holding import HELD_COLUMNS, Holding
from cloud.repositories.jobs import Origin, inputs_of
from cloud.repositories.lanes import LANE_COLUMNS, Lane, lane_of, lane_values
from cloud.repositories.now import NOW, SEEN_SINCE, Clock
from cloud.repositories.servers import SEEN_LATELY
from cloud.repositories.states import RUNNING, in_states
from cloud.tables.account import ACCOUNTS
from cloud.tables.job import ATTEMPTS, JOBS, LANES, OUTPUTS
from shared.api.accounts import Plan
from shared.api.jobs import AttemptEnd
from shared.errors import JsonValue
from shared.jobs.events import Output, StageName
from shared.jobs.state import JobState, may_become

__all__ = ["ClaimRows"]

_J = JOBS.c
_A = ATTEMPTS.c
_MOMENT = timedelta(seconds=1)


class ClaimRows:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._holding = Holding.on(connection.dialect.name)

    def claim_oldest(
        self, lane: Lane, worker: str, lease: timedelta, *, server: str | None = None, most: int = 1
    ) -> tuple[Claim, ...]:
        """Whoever comes second takes the next jobs, or none. A suspect comes alone."""
        values = {**lane_values(lane), **self._claiming(worker, lease), "at_server": server}
        statement = CLAIM if server is None else CLAIM_FOR_SERVER
        claims = self._claimed(statement, values)
        if most > 1 and claims and not claims[0].alone:
            claims += self._claimed(CLAIM_MORE, values | {"most": most - 1})
        if claims:
            self._open_attempts(claims, worker, server)
        return claims

    def claim_left(self, server: str, worker: str, lease: timedelta) -> Claim | None:
        """The oldest job of which a worker that died left a run at this server."""
        values = self._claiming(worker, lease) | {"at_server": server}
        claims = self._claimed(CLAIM_LEFT, values)
        if not claims:
            return None
        self._open_attempts(claims, worker, server)
        return claims[0]

    def _claiming(self, worker: str, lease: timedelta) -> dict[str, object]:
        return {
            **self._clock.stamps_until(lease),
            **self._clock.stamps_since(SEEN_LATELY),
            "claimer": worker,
        }

    def _claimed(self, statement: ReturningUpdate[Any], values: dict[str, object]) -> tuple[Claim, ...]:
        return tuple(self._claim(row) for row in self._connection.execute(statement, values).all())

    def _claim(self, row: Row[Any]) -> Claim:
        ref = AttemptRef(row.id, row.attempt)
        return Claim(
            ref=ref,
            lane=lane_of(row),
            preset_version=row.preset_version,
            preset_digest=row.preset_digest,
            values=row._mapping["values"],
            inputs=inputs_of(row.inputs),
            alone=row.alone,
            graph=row.graph,
            origin=Origin(row.request_id, row.trace),
            previous=self._previous(ref) if ref.number > 1 else (),
        )

    def suspects(self, pools: Collection[str], waited: timedelta) -> tuple[Lane, ...]:
        """Lanes in which a job that must not share a worker has waited for so long since its last attempt."""
        rows = self._connection.execute(
            _SUSPECTS, {"suspect_pools": list(pools), **self._clock.stamps_since(waited)}
        )
        return tuple(lane_of(row) for row in rows)

    def at_work(self, account_id: str) -> tuple[Plan, int]:
        """The account's plan and how many of its jobs are at work, asked by whoever has just claimed one:
        others that claim for the same account wait until this transaction has ended."""
        row = self._connection.execute(_AT_WORK, {"busy_account": account_id}).one()
        return Plan(row.plan), row.at_work

    def held_up(self, account_ids: Collection[str]) -> Mapping[str, tuple[Plan, int]]:
        """Of these accounts those of which jobs wait: the plan, and how many of their jobs are at work."""
        rows = self._connection.execute(_HELD_UP, {"ended_accounts": list(account_ids)})
        return {row.id: (Plan(row.plan), row.at_work) for row in rows}

    def renew(self, ref: AttemptRef, lease: timedelta) -> Held | None:
        return self._one(self._holding.renew, ref, self._clock.stamps_until(lease))

    def expire_all(self) -> None:
        """Whoever held a job is known to be gone."""
        self._connection.execute(
            update(JOBS).where(in_states(RUNNING)).values(lease_until=self._clock.now(-_MOMENT))
        )

    def look(self, ref: AttemptRef) -> Held | None:
        """Whether the attempt still holds its job; locks the job until the transaction ends."""
        return self._one(self._holding.look, ref)

    def look_all(self, refs: Collection[AttemptRef]) -> HeldByRef:
        return self._held(self._holding.look, map(_given, refs))

    def store_tickets(self, tickets: Collection[NewTicket]) -> None:
        """The caller has looked."""
        rows = [
            {
                **_given(new.ref),
                "engine": new.engine,
                "version": new.version,
                "server": new.server,
                "ticket": new.ticket,
            }
            for new in tickets
        ]
        self._connection.execute(self._holding.note_ticket, {"given": json.dumps(rows)})

    def begin(self, refs: Collection[AttemptRef]) -> HeldByRef:
        """Execution begins now."""
        held = self._held(self._holding.begin, map(_given, refs), self._clock.stamps)
        if held:
            begun = json.dumps([_given(ref) for ref in held])
            self._connection.execute(self._holding.note_begin, {"given": begun} | self._clock.stamps)
        return held

    def set_stage(self, ref: AttemptRef, stage: StageName) -> Held | None:
        return self._one(self._holding.set_stage, ref, {"new_stage": stage})

    def begin_saving(self, refs: Collection[AttemptRef]) -> HeldByRef:
        """Doing it twice is no error."""
        return self._held(self._holding.begin_saving, map(_given, refs))

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

    def complete(self, refs: Collection[AttemptRef]) -> HeldByRef:
        """These jobs end well, and their attempts with them."""
        held = self._held(self._holding.complete, map(_given, refs), self._clock.stamps)
        self._close_attempts(held, AttemptEnd.COMPLETED)
        return held

    def fail(self, ref: AttemptRef, how: AttemptEnd, failure: Failure) -> Held | None:
        row = {
            **_given(ref),
            "failure_code": failure.code,
            "failure_message": failure.message,
            "failure_retryable": failure.retryable,
        }
        held = self._held(self._holding.fail, (row,), self._clock.stamps)
        self._close_attempts(held, how)
        return held.get(ref)

    def cancel(self, ref: AttemptRef, how: AttemptEnd) -> Held | None:
        held = self._held(self._holding.cancel, (_given(ref),), self._clock.stamps)
        self._close_attempts(held, how)
        return held.get(ref)

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
        row = self._connection.execute(
            update(JOBS)
            .where(_J.id == ref.job_id, _J.attempt == ref.number, in_states(may_become(JobState.QUEUED)))
            .values(
                state=JobState.QUEUED,
                stage=None,
                worker=None,
                lease_until=None,
                started_at=None,
                hand_back_at=None,
                **stays,
                **changes,
            )
            .returning(_J.id, _J.attempt, *HELD_COLUMNS, *LANE_COLUMNS)
        ).one_or_none()
        if row is None:
            return None
        self._close_attempts((ref,), how, reason)
        return _held(ref, row)

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
            .where(_J.id == job_id, _J.account_id == account_id, in_states(RUNNING))
            .values(cancel_requested_at=func.coalesce(_J.cancel_requested_at, self._clock.now()))
            .returning(_J.id)
        )
        return changed.first() is not None

    def request_cancel_of_batch(self, batch_id: str) -> bool:
        """False if no worker has a job of it."""
        changed = self._connection.execute(
            update(JOBS)
            .where(_J.batch_id == batch_id, in_states(RUNNING))
            .values(cancel_requested_at=func.coalesce(_J.cancel_requested_at, self._clock.now()))
            .returning(_J.id)
        )
        return changed.first() is not None

    def lost(self, limit: int) -> tuple[LostAttempt, ...]:
        """Attempts whose lease ran out; those that another reaper is at are passed over."""
        rows = self._connection.execute(
            select(_J.id, _J.attempt, *HELD_COLUMNS, _J.worker, _J.crashes, *LANE_COLUMNS)
            .where(in_states(RUNNING), _J.lease_until < self._clock.now())
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

    def _held(
        self,
        statement: ReturningUpdate[Any],
        rows: Iterable[Mapping[str, JsonValue]],
        values: Mapping[str, object] = MappingProxyType({}),
    ) -> HeldByRef:
        """What the statement, which takes these rows, finds held."""
        found = self._connection.execute(statement, {"given": json.dumps(list(rows)), **values})
        held = (_held(AttemptRef(row.id, row.attempt), row) for row in found)
        return {job.ref: job for job in sorted(held, key=_account_first)}

    def _one(
        self,
        statement: ReturningUpdate[Any],
        ref: AttemptRef,
        values: Mapping[str, object] = MappingProxyType({}),
    ) -> Held | None:
        return self._held(statement, (_given(ref),), values).get(ref)

    def _open_attempts(self, claims: Sequence[Claim], worker: str, server: str | None) -> None:
        """Of one account."""
        row = {"worker": worker, "server": server, **self._clock.stamps}
        rows = [{**row, "job_id": claim.ref.job_id, "attempt": claim.ref.number} for claim in claims]
        self._connection.execute(_OPEN_ATTEMPT, rows)
        served = {"served": claims[0].lane.account_id, **self._clock.stamps}
        self._connection.execute(_SERVED, served)

    def _close_attempts(
        self, refs: Collection[AttemptRef], how: AttemptEnd, reason: str | None = None
    ) -> None:
        if refs:
            closed = {"given": json.dumps([_given(ref) for ref in refs]), "how": how, "why": reason}
            self._connection.execute(self._holding.note_end, closed | self._clock.stamps)

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


def _held(ref: AttemptRef, row: Any) -> Held:
    return Held(
        ref,
        lane_of(row),
        cancel_requested=row.cancel_requested_at is not None,
        price=row.price,
        batch_id=row.batch_id,
        hand_back=row.hand_back_at is not None,
        started_at=row.started_at,
    )


def _given(ref: AttemptRef) -> dict[str, JsonValue]:
    return {"job_id": ref.job_id, "attempt": ref.number}


def _account_first(held: Held) -> tuple[str, str, str]:
    """The order in which whoever ends several jobs locks what belongs to their accounts."""
    return (held.lane.account_id, held.batch_id or "", held.ref.job_id)


_SUSPECTS = (
    select(*LANE_COLUMNS)
    .distinct()
    .join_from(JOBS, ATTEMPTS, and_(_A.job_id == _J.id, _A.attempt == _J.attempt))
    .where(
        in_states({JobState.QUEUED}),
        _J.alone,
        _J.pool.in_(bindparam("suspect_pools", expanding=True)),
        _A.ended_at < SEEN_SINCE,
    )
)
_COUNT_AT_WORK = (
    select(func.count())
    .where(_J.account_id == ACCOUNTS.c.id, in_states(RUNNING))
    .scalar_subquery()
    .label("at_work")
)
_AT_WORK = select(ACCOUNTS.c.plan, _COUNT_AT_WORK).where(
    ACCOUNTS.c.id == bindparam("busy_account", type_=String)
)
_HELD_UP = select(ACCOUNTS.c.id, ACCOUNTS.c.plan, _COUNT_AT_WORK).where(
    ACCOUNTS.c.id.in_(bindparam("ended_accounts", expanding=True)),
    select(LANES.c.pool).where(LANES.c.account_id == ACCOUNTS.c.id).exists(),
)
_OPEN_ATTEMPT = insert(ATTEMPTS).values(claimed_at=NOW).inline()
_SERVED = update(ACCOUNTS).where(ACCOUNTS.c.id == bindparam("served", type_=String)).values(served_at=NOW)
