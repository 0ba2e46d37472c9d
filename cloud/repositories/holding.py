"""The statements by which workers keep what they hold, and let go of it: each for several attempts at once.

Built once, since they are asked with every step of every job. They take the attempts, and what differs
between them, as one JSON text.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    FromClause,
    Integer,
    String,
    Text,
    bindparam,
    cast,
    column,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.dml import ReturningUpdate, Update
from sqlalchemy.types import TypeEngine

from cloud.repositories.lanes import LANE_COLUMNS
from cloud.repositories.now import LATER, NOW
from cloud.repositories.states import RUNNING, in_states
from cloud.tables.job import ATTEMPTS, JOBS
from cloud.tables.server import SERVERS
from shared.jobs.events import StageName
from shared.jobs.state import JobState, may_become

__all__ = ["HELD_COLUMNS", "Holding"]

_J = JOBS.c
_A = ATTEMPTS.c
_SAID_LENGTH = 100
_GIVEN: dict[str, type[TypeEngine[Any]]] = {
    "job_id": String,
    "attempt": Integer,
    "engine": String,
    "version": String,
    "server": String,
    "ticket": String,
    "failure_code": String,
    "failure_message": String,
    "failure_retryable": Boolean,
}
HELD_COLUMNS = (_J.cancel_requested_at, _J.hand_back_at, _J.price, _J.batch_id, _J.started_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Those of jobs give back what is still held. All take `given`, which lists objects with `job_id`
    and `attempt`."""

    look: ReturningUpdate[Any]
    renew: ReturningUpdate[Any]
    begin: ReturningUpdate[Any]
    set_stage: ReturningUpdate[Any]
    begin_saving: ReturningUpdate[Any]
    complete: ReturningUpdate[Any]
    fail: ReturningUpdate[Any]
    cancel: ReturningUpdate[Any]
    note_ticket: Update
    note_begin: Update
    note_end: Update

    @classmethod
    @cache
    def on(cls, dialect: str) -> "Holding":
        given = _given(dialect)
        ended = {"stage": None, "worker": None, "lease_until": None, "finished_at": NOW}
        failure = {name: given.c[name] for name in ("failure_code", "failure_message", "failure_retryable")}
        saving = may_become(JobState.SAVING) | {JobState.SAVING}
        return cls(
            look=_held(given, RUNNING, attempt=_J.attempt),
            renew=_held(given, RUNNING, lease_until=LATER),
            begin=_held(given, {JobState.PROCESSING}, started_at=NOW, stage=StageName.RUNNING),
            set_stage=_held(given, {JobState.PROCESSING}, stage=bindparam("new_stage", type_=String)),
            begin_saving=_held(given, saving, state=JobState.SAVING),
            complete=_ended(given, JobState.COMPLETED, **ended),
            fail=_ended(given, JobState.FAILED, **ended, **failure),
            cancel=_ended(given, JobState.CANCELLED, **ended),
            note_ticket=_attempt(given).values(
                engine=given.c.engine,
                server=given.c.server,
                server_class=_said_by(given.c.server, SERVERS.c.device),
                engine_version=func.coalesce(given.c.version, _said_by(given.c.server, SERVERS.c.version)),
                ticket=given.c.ticket,
            ),
            note_begin=_attempt(given).values(begun_at=NOW),
            note_end=_attempt(given).values(
                ended_at=NOW, end=bindparam("how", type_=String), reason=bindparam("why", type_=String)
            ),
        )


def _held(given: FromClause, states: Collection[JobState], **values: object) -> ReturningUpdate[Any]:
    """Of attempts that hold their job, in one of these states."""
    return (
        update(JOBS)
        .where(_J.id == given.c.job_id, _J.attempt == given.c.attempt, in_states(states))
        .values(**values)
        .returning(_J.id, _J.attempt, *HELD_COLUMNS, *LANE_COLUMNS)
    )


def _ended(given: FromClause, state: JobState, **values: object) -> ReturningUpdate[Any]:
    return _held(given, may_become(state) & set(RUNNING), state=state, **values)


def _attempt(given: FromClause) -> Update:
    return update(ATTEMPTS).where(_A.job_id == given.c.job_id, _A.attempt == given.c.attempt)


def _said_by(server: ColumnElement[str], column: ColumnElement[Any]) -> ColumnElement[Any]:
    said = func.substr(column, 1, _SAID_LENGTH)
    return select(said).where(SERVERS.c.name == server).scalar_subquery()


def _given(dialect: str) -> FromClause:
    text = bindparam("given", type_=Text)
    if dialect == "postgresql":
        columns = [column(name, type_) for name, type_ in _GIVEN.items()]
        listed = func.json_to_recordset(cast(text, postgresql.JSON)).table_valued(*columns)
        return listed.render_derived(name="given_rows", with_types=True)
    each = func.json_each(text).table_valued("value", name="each_given")
    named = [
        func.json_extract(each.c.value, f"$.{name}", type_=type_).label(name)
        for name, type_ in _GIVEN.items()
    ]
    return select(*named).subquery("given_rows")
