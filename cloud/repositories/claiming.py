"""The statements by which workers take jobs, built once since they are asked all the time."""

from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Integer,
    String,
    and_,
    bindparam,
    exists,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from cloud.repositories.lanes import IN_LANE
from cloud.repositories.now import LATER
from cloud.repositories.servers import FARES_WELL
from cloud.repositories.states import RUNNING, in_states
from cloud.tables.job import JOBS
from cloud.tables.server import SERVERS
from shared.jobs.state import JobState, may_become

__all__ = ["CLAIM", "CLAIM_FOR_SERVER", "CLAIM_LEFT", "CLAIM_MORE"]

_J = JOBS.c
_S = SERVERS.c


def _may_share() -> ColumnElement[bool]:
    """A suspect runs alone: not beside what the worker has, and nothing beside it."""
    other = JOBS.alias("other")
    claimer = bindparam("claimer", type_=String)
    running = select(other.c.number).where(other.c.worker == claimer, in_states(RUNNING, other.c.state))
    return and_(
        or_(_J.alone.is_(False), ~running.exists()),
        ~running.where(other.c.alone.is_(True)).exists(),
    )


def _fits_server() -> ColumnElement[bool]:
    """A run left at another server is that one's, and a job that failed at this server goes to another,
    as long as the other one fares well."""
    at = bindparam("at_server", type_=String)
    has_run = exists().where(_S.name == _J.server, FARES_WELL)
    other = exists().where(_S.pool == _J.pool, _S.name != at, FARES_WELL)
    return and_(
        or_(_J.server.is_(None), _J.server == at, ~has_run), or_(_J.avoid.is_(None), _J.avoid != at, ~other)
    )


def _claiming(
    *which: ColumnElement[bool],
    server: BindParameter[str] | None = None,
    most: BindParameter[int] | None = None,
) -> ReturningUpdate[Any]:
    oldest = (
        select(_J.number)
        .where(*which, _may_share())
        .order_by(_J.queued_at, _J.number)
        .limit(1 if most is None else most)
        .with_for_update(skip_locked=True)
    )
    taken = _J.number == oldest.scalar_subquery()
    if most is not None:
        taken = _J.number.in_(select(oldest.cte("oldest").c.number))
    return (
        update(JOBS)
        .where(taken, in_states(may_become(JobState.PROCESSING)))
        .values(
            state=JobState.PROCESSING,
            attempt=_J.attempt + 1,
            worker=bindparam("claimer", type_=String),
            server=server,
            lease_until=LATER,
        )
        .returning(
            _J.id,
            _J.attempt,
            _J.preset_version,
            _J.preset_digest,
            _J["values"],
            _J.inputs,
            _J.graph,
            _J.request_id,
            _J.trace,
            _J.alone,
            _J.pool,
            _J.priority,
            _J.account_id,
            _J.preset_id,
            _J.models,
        )
    )


_AT_SERVER = bindparam("at_server", type_=String)
CLAIM = _claiming(IN_LANE)
CLAIM_MORE = _claiming(IN_LANE, _J.alone.is_(False), most=bindparam("most", type_=Integer))
CLAIM_FOR_SERVER = _claiming(IN_LANE, _fits_server(), server=_AT_SERVER)
CLAIM_LEFT = _claiming(_J.state == "queued", _J.server == _AT_SERVER, server=_AT_SERVER)
