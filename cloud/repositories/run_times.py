"""How long completed runs took."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from sqlalchemy import Connection, Float, bindparam, delete, func, insert, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import Insert
from sqlalchemy.sql.functions import FunctionElement

from cloud.repositories.now import NOW, Clock
from cloud.tables.job import ATTEMPTS, JOBS
from cloud.tables.run_time import RUN_TIMES

__all__ = ["RunTime", "RunTimeRows"]

_A = ATTEMPTS.c
_J = JOBS.c
_T = RUN_TIMES.c


@dataclass(frozen=True, slots=True)
class RunTime:
    server_class: str
    seconds: float


class RunTimeRows:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def add_of(self, job_ids: Sequence[str]) -> None:
        """From the start of each job's run until now. A run that a later attempt took over says nothing."""
        if job_ids:
            self._connection.execute(_add_of(), {"timed_jobs": list(job_ids)} | self._clock.stamps)

    def latest(self, preset_id: str, preset_version: str, limit: int) -> tuple[RunTime, ...]:
        """The newest first."""
        rows = self._connection.execute(
            select(_T.server_class, _T.seconds)
            .where(_T.preset_id == preset_id, _T.preset_version == preset_version)
            .order_by(_T.id.desc())
            .limit(limit)
        )
        return tuple(RunTime(*row) for row in rows)

    def forget_older(self, age: timedelta) -> int:
        gone = self._connection.execute(delete(RUN_TIMES).where(_T.at < self._clock.now(-age)))
        return gone.rowcount


class _Seconds(FunctionElement[float]):
    """From the first of two times to the second."""

    type = Float()
    inherit_cache = True
    name = "seconds_between"


@compiles(_Seconds, "sqlite")
def _seconds_on_sqlite(element: _Seconds, compiler: SQLCompiler, **kw: Any) -> str:
    begin, end = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"((julianday({end}) - julianday({begin})) * 86400.0)"


@compiles(_Seconds, "postgresql")
def _seconds_on_postgresql(element: _Seconds, compiler: SQLCompiler, **kw: Any) -> str:
    begin, end = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"CAST(EXTRACT(EPOCH FROM ({end} - {begin})) AS double precision)"


@cache
def _add_of() -> Insert:
    names = ["preset_id", "preset_version", "server_class", "seconds", "at"]
    taken = (
        select(
            _J.preset_id,
            _J.preset_version,
            func.coalesce(_A.server_class, _A.engine),
            _Seconds(_A.begun_at, NOW),
            NOW,
        )
        .join_from(JOBS, ATTEMPTS, _A.job_id == _J.id)
        .where(
            _J.id.in_(bindparam("timed_jobs", expanding=True)),
            _J.attempt == 1,
            _A.attempt == 1,
            _A.begun_at.is_not(None),
            _A.engine.is_not(None),
        )
    )
    return insert(RUN_TIMES).from_select(names, taken).inline()
