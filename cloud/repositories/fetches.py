"""Files that jobs wait for: fetched one by one, and with the last of them the job enters its lane."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, tuple_, update

from cloud.repositories.fair_share import fair_share
from cloud.repositories.jobs import InputUrl, NewJob
from cloud.repositories.lanes import LANE_COLUMNS, LaneRows, lane_of
from cloud.repositories.now import NOW, Clock
from cloud.tables.account import ACCOUNTS
from cloud.tables.input_fetch import INPUT_FETCHES
from cloud.tables.job import JOBS
from shared.api.accounts import Plan
from shared.errors import JsonValue
from shared.jobs.state import JobState

__all__ = ["Fetch", "FetchRows"]

_F = INPUT_FETCHES.c
_J = JOBS.c
_KEY = tuple_(_F.job_id, _F.input, _F.position)
_ADD = insert(INPUT_FETCHES).values(tries=0, next_at=NOW)
_Key = tuple[str, str, int]
_NOT_OF_A_FETCH = frozenset({"next_at", "taken_until", "problem"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """One file that is the caller's to fetch while its lease lasts; `tries` counts this one, and tells it
    from the others. With the last file of a job's, that enters `pool`."""

    job_id: str
    input: str
    position: int
    account_id: str
    plan: Plan
    url: str
    name: str
    pool: str
    tries: int

    @property
    def key(self) -> _Key:
        return (self.job_id, self.input, self.position)


class FetchRows:
    """Whoever changes a job's fetches and the job locks the job first."""

    def __init__(self, connection: Connection, clock: Clock, lanes: LaneRows) -> None:
        self._connection = connection
        self._clock = clock
        self._lanes = lanes

    def add(self, jobs: Sequence[NewJob]) -> None:
        rows = [row | self._clock.stamps for job in jobs for row in _rows(job)]
        if rows:
            self._connection.execute(_ADD, rows)

    def take(self, *, most: int, each: int, busy: Mapping[str, int], lease: timedelta) -> tuple[Fetch, ...]:
        """Up to `most` that are due, the longest first; of no account more than `each`, with those that
        are `busy` by its id."""
        chosen = fair_share(self._due, most=most, each=each, busy=busy)
        return self._taken(chosen, lease) if chosen else ()

    def renew(self, fetch: Fetch, lease: timedelta) -> bool:
        """False if it is no longer the caller's."""
        return self._note(fetch, taken_until=self._clock.now(lease))

    def let_go(self, fetch: Fetch) -> bool:
        """Others may take it at once."""
        return self._note(fetch, taken_until=None)

    def arrived(self, fetch: Fetch, digest: str) -> int | None:
        """It is an input of the job from now on; how many files the job still waits for. None if it is
        no longer the caller's, or the job does not wait."""
        inputs = self._connection.execute(
            select(_J.inputs).where(_J.id == fetch.job_id, _J.state == JobState.QUEUED).with_for_update()
        ).scalar_one_or_none()
        gone = delete(INPUT_FETCHES).where(self._is_ours(fetch))
        if inputs is None or self._connection.execute(gone).rowcount == 0:
            return None
        self._connection.execute(
            update(JOBS).where(_J.id == fetch.job_id).values(inputs=_with_digest(inputs, fetch, digest))
        )
        left = select(func.count()).where(_F.job_id == fetch.job_id)
        return int(self._connection.execute(left).scalar_one())

    def again(self, fetch: Fetch, *, after: timedelta, problem: str) -> bool:
        return self._note(fetch, next_at=self._clock.now(after), taken_until=None, problem=problem)

    def release(self) -> int:
        """Nobody fetches anything just now."""
        taken = update(INPUT_FETCHES).where(_F.taken_until.is_not(None))
        return self._connection.execute(taken.values(taken_until=None)).rowcount

    def is_held(self, fetch: Fetch) -> bool:
        found = select(_F.job_id).where(self._is_ours(fetch))
        return self._connection.execute(found).first() is not None

    def drop(self, job_id: str) -> None:
        self._connection.execute(delete(INPUT_FETCHES).where(_F.job_id == job_id))

    def enter(self, fetch: Fetch) -> None:
        """All files of its job are here, which the caller has locked."""
        row = self._connection.execute(select(*LANE_COLUMNS).where(_J.id == fetch.job_id)).one()
        self._connection.execute(update(JOBS).where(_J.id == fetch.job_id).values(pool=fetch.pool))
        lane = lane_of(row)
        self._lanes.leave(lane)
        self._lanes.enter(replace(lane, pool=fetch.pool))

    def forget_ended(self) -> int:
        """Those whose job no longer waits."""
        waits = select(_J.id).where(_J.id == _F.job_id, _J.state == JobState.QUEUED)
        return self._connection.execute(delete(INPUT_FETCHES).where(~waits.exists())).rowcount

    def _due(self, limit: int, full: Collection[str], chosen: Collection[_Key]) -> Sequence[tuple[_Key, str]]:
        now = self._clock.now()
        rows = self._connection.execute(
            select(_F.job_id, _F.input, _F.position, _F.account_id)
            .join(JOBS, _J.id == _F.job_id)
            .where(
                _J.state == JobState.QUEUED,
                _F.next_at <= now,
                or_(_F.taken_until.is_(None), _F.taken_until < now),
                _F.account_id.not_in(full),
                _KEY.not_in(list(chosen)),
            )
            .order_by(_F.next_at)
            .limit(limit)
            .with_for_update(skip_locked=True, of=INPUT_FETCHES)
        )
        return [((row.job_id, row.input, row.position), row.account_id) for row in rows]

    def _taken(self, chosen: Mapping[_Key, str], lease: timedelta) -> tuple[Fetch, ...]:
        keys = list(chosen)
        self._connection.execute(
            update(INPUT_FETCHES)
            .where(_KEY.in_(keys))
            .values(taken_until=self._clock.now(lease), tries=_F.tries + 1)
        )
        columns = [column for column in INPUT_FETCHES.c if column.name not in _NOT_OF_A_FETCH]
        rows = self._connection.execute(
            select(*columns, ACCOUNTS.c.plan)
            .join(ACCOUNTS, ACCOUNTS.c.id == _F.account_id)
            .where(_KEY.in_(keys))
        )
        return tuple(Fetch(**{**row._mapping, "plan": Plan(row.plan)}) for row in rows)

    def _note(self, fetch: Fetch, **values: object) -> bool:
        done = self._connection.execute(update(INPUT_FETCHES).where(self._is_ours(fetch)).values(**values))
        return done.rowcount == 1

    def _is_ours(self, fetch: Fetch) -> ColumnElement[bool]:
        return and_(
            _F.job_id == fetch.job_id,
            _F.input == fetch.input,
            _F.position == fetch.position,
            _F.tries == fetch.tries,
            _F.taken_until.is_not(None),
        )


def _rows(job: NewJob) -> list[dict[str, object]]:
    return [
        {
            "job_id": job.id,
            "input": name,
            "position": position,
            "account_id": job.lane.account_id,
            "url": file.url,
            "name": file.name,
            "pool": job.enters,
        }
        for name, files in job.inputs.items()
        for position, file in enumerate(files)
        if isinstance(file, InputUrl)
    ]


def _with_digest(
    inputs: Mapping[str, Sequence[Mapping[str, JsonValue]]], fetch: Fetch, digest: str
) -> dict[str, list[Mapping[str, JsonValue]]]:
    changed = {name: list(files) for name, files in inputs.items()}
    changed[fetch.input][fetch.position] = {"digest": digest, "name": fetch.name}
    return changed
