"""Batches and the counts of how their jobs ended."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Integer, RowMapping, bindparam, case, insert, literal, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from cloud.repositories.now import NOW, Clock
from cloud.tables.batch import BATCHES
from shared.jobs.state import JobState

__all__ = ["BatchRecord", "BatchRows", "NewBatch"]

_B = BATCHES.c


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBatch:
    """`price` is that of all its jobs."""

    id: str
    account_id: str
    name: str | None
    preset_id: str
    preset_version: str
    price: int
    total: int
    retry_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRecord:
    """`ended` tells by state how many have; `finished_at` is set with the last."""

    number: int
    id: str
    account_id: str
    name: str | None
    preset_id: str
    preset_version: str
    price: int
    total: int
    ended: Mapping[JobState, int]
    retry_of: str | None
    created_at: datetime
    finished_at: datetime | None


_COUNTS = {
    JobState.COMPLETED: _B.completed,
    JobState.FAILED: _B.failed,
    JobState.CANCELLED: _B.cancelled,
    JobState.EXPIRED: _B.expired,
}
_ADD = insert(BATCHES).values(completed=0, failed=0, cancelled=0, expired=0, created_at=NOW).inline()


class BatchRows:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def add(self, batch: NewBatch) -> None:
        self._connection.execute(_ADD, asdict(batch) | self._clock.stamps)

    def count(self, batch_id: str, ended: Mapping[JobState, int]) -> BatchRecord:
        """So many more of its jobs have ended so; of those that end at once, each sees the ones before."""
        values = {f"more_{state.value}": ended.get(state, 0) for state in _COUNTS}
        row = self._connection.execute(
            _count(), {"counted_batch": batch_id} | values | self._clock.stamps
        ).one()
        return _record(row._mapping)

    def find(self, account_id: str, batch_id: str) -> BatchRecord | None:
        """Another account's batch is not there."""
        row = self._connection.execute(
            select(BATCHES).where(_B.id == batch_id, _B.account_id == account_id)
        ).one_or_none()
        return None if row is None else _record(row._mapping)

    def page(self, account_id: str, *, before: int | None, limit: int) -> tuple[BatchRecord, ...]:
        """Newest first."""
        query = select(BATCHES).where(_B.account_id == account_id)
        if before is not None:
            query = query.where(_B.number < before)
        rows = self._connection.execute(query.order_by(_B.number.desc()).limit(limit))
        return tuple(_record(row._mapping) for row in rows)


@cache
def _count() -> ReturningUpdate[Any]:
    more = {state: bindparam(f"more_{state.value}", type_=Integer) for state in _COUNTS}
    ended = sum((column + more[state] for state, column in _COUNTS.items()), literal(0, Integer))
    return (
        update(BATCHES)
        .where(_B.id == bindparam("counted_batch"))
        .values(
            {
                **{column: column + more[state] for state, column in _COUNTS.items()},
                _B.finished_at: case((ended >= _B.total, NOW)),
            }
        )
        .returning(BATCHES)
    )


def _record(row: RowMapping) -> BatchRecord:
    names = {column.name for column in _COUNTS.values()}
    fields = {name: value for name, value in row.items() if name not in names}
    return BatchRecord(**fields, ended={state: row[column.name] for state, column in _COUNTS.items()})
