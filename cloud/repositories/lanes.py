"""Lanes: the jobs of one account for one preset and its models that wait for one pool, counted."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Integer,
    Row,
    and_,
    bindparam,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from cloud.repositories.now import NOW, Clock
from cloud.repositories.states import RUNNING, in_states
from cloud.repositories.upsert import Insert, insert_for
from cloud.tables.account import ACCOUNTS
from cloud.tables.job import JOBS, LANES
from shared.api.accounts import Plan
from shared.jobs.state import JobState

__all__ = [
    "IN_LANE",
    "LANE_COLUMNS",
    "Backlog",
    "Lane",
    "LaneHead",
    "LaneRows",
    "in_lane",
    "lane_of",
    "lane_values",
    "new_lane_row",
]

_L = LANES.c
_KEY = ("pool", "priority", "account_id", "preset_id", "models")
LANE_COLUMNS = tuple(JOBS.c[name] for name in _KEY)


@dataclass(frozen=True, slots=True)
class Lane:
    """`models` are the values that choose model files, as JSON: all jobs of a lane need the same."""

    pool: str
    priority: int  # higher first
    account_id: str
    preset: str
    models: str = "{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneHead(Lane):
    """A lane in which `waiting` jobs wait, the first of them since `oldest_at`."""

    oldest_at: datetime
    waiting: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits, and per account how much runs now, when a job of it was last claimed, and its plan."""

    lanes: tuple[LaneHead, ...]
    running: Mapping[str, int] = field(default_factory=dict)
    served_at: Mapping[str, datetime] = field(default_factory=dict)
    plans: Mapping[str, Plan] = field(default_factory=dict)


class LaneRows:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def enter(self, lane: Lane, *, count: int = 1) -> None:
        """So many jobs more wait here, from now. Among the last of a transaction: it locks the lane."""
        enter = _enter(self._connection.dialect.name)
        self._connection.execute(enter, new_lane_row(lane, count) | self._clock.stamps)

    def leave(self, lane: Lane, *, count: int = 1) -> None:
        """So many jobs less wait here."""
        left = self._connection.execute(_LEAVE, {**lane_values(lane), "gone": count}).scalar()
        if left is not None and left <= 0:
            self._connection.execute(_DROP, lane_values(lane))

    def backlog(self, pools: Collection[str]) -> Backlog:
        rows = self._connection.execute(_HEADS, {"pools": list(pools)}).all()
        if not rows:
            return Backlog(())
        counts = self._connection.execute(_AT_WORK)
        return Backlog(
            lanes=tuple(
                LaneHead(*_key_of(row), oldest_at=row.oldest_at, waiting=row.waiting) for row in rows
            ),
            running={account_id: count for account_id, count in counts},  # noqa: C416 - rows are no pairs
            served_at={row.account_id: row.served_at for row in rows if row.served_at is not None},
            plans={row.account_id: Plan(row.plan) for row in rows},
        )


def lane_of(row: Row[Any]) -> Lane:
    """Of a row with LANE_COLUMNS."""
    return Lane(*_key_of(row))


def _key_of(row: Row[Any]) -> tuple[str, int, str, str, str]:
    return row.pool, row.priority, row.account_id, row.preset_id, row.models


def new_lane_row(lane: Lane, count: int) -> dict[str, object]:
    return {
        "pool": lane.pool,
        "priority": lane.priority,
        "account_id": lane.account_id,
        "preset_id": lane.preset,
        "models": lane.models,
        "waiting": count,
    }


@cache
def _enter(dialect: str) -> Insert:
    """Built once: this is asked with every submission."""
    statement = insert_for(dialect, LANES).values(oldest_at=NOW)
    return statement.on_conflict_do_update(
        index_elements=list(LANES.primary_key), set_={"waiting": _L.waiting + statement.excluded.waiting}
    )


def lane_values(lane: Lane) -> dict[str, object]:
    """What statements take that speak of IN_LANE."""
    values = (lane.pool, lane.priority, lane.account_id, lane.preset, lane.models)
    return {f"lane_{name}": value for name, value in zip(_KEY, values, strict=True)}


def in_lane(lane: Lane) -> ColumnElement[bool]:
    """Of jobs: those that wait in this lane."""
    same = (JOBS.c[name] == value for name, value in zip(_KEY, lane_values(lane).values(), strict=True))
    return and_(*same, JOBS.c.state == JobState.QUEUED)


def _is_lane(columns: ReadOnlyColumnCollection[str, Column[Any]]) -> ColumnElement[bool]:
    return and_(*(columns[name] == bindparam(f"lane_{name}", type_=columns[name].type) for name in _KEY))


# Built once, since they are asked with every claim.
_HEADS = (
    select(LANES, ACCOUNTS.c.served_at, ACCOUNTS.c.plan)
    .join(ACCOUNTS, ACCOUNTS.c.id == _L.account_id)
    .where(_L.pool.in_(bindparam("pools", expanding=True)))
)
_AT_WORK = select(JOBS.c.account_id, func.count()).where(in_states(RUNNING)).group_by(JOBS.c.account_id)
IN_LANE = and_(_is_lane(JOBS.c), JOBS.c.state == JobState.QUEUED)
_OLDEST = select(JOBS.c.queued_at).where(IN_LANE).order_by(JOBS.c.queued_at, JOBS.c.number).limit(1)
_LEAVE = (
    update(LANES)
    .where(_is_lane(_L))
    .values(
        waiting=_L.waiting - bindparam("gone", type_=Integer),
        oldest_at=func.coalesce(_OLDEST.scalar_subquery(), _L.oldest_at),
    )
    .returning(_L.waiting)
)
_DROP = delete(LANES).where(_is_lane(_L), _L.waiting <= 0)
