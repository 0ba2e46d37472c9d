"""Whether the entries of credits add up to the balances, and to what became of the jobs."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, String, and_, cast, func, literal, null, or_, select

from cloud.repositories.now import Clock
from cloud.tables.credit import CREDIT_BALANCES, CREDIT_ENTRIES
from cloud.tables.job import JOBS
from shared.api.credits import EntryKind
from shared.jobs.state import JobState, is_terminal

__all__ = ["AuditFinding", "CreditAuditRows"]

_B = CREDIT_BALANCES.c
_E = CREDIT_ENTRIES.c
_J = JOBS.c
_SETTLEMENTS = (EntryKind.CAPTURE, EntryKind.RELEASE)
_ENDED = tuple(state for state in JobState if is_terminal(state))


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """`what` does not hold for the account, or for one job of it."""

    what: str
    account_id: str
    job_id: str | None


class CreditAuditRows:
    """Each question is one statement: it sees one moment, whatever goes on beside it."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def findings(self, limit: int) -> tuple[AuditFinding, ...]:
        """At most `limit` of each kind; none if all is well."""
        questions = (_sums(), _settled_twice(), _kept_after_the_end(), _wrong_way(), _without_reserve())
        return tuple(
            AuditFinding(row.what, row.account_id, row.job_id)
            for question in questions
            for row in self._connection.execute(question.limit(limit))
        )


def _sums() -> Select[str, Any, str]:
    sums = (
        select(
            _E.account_id,
            func.sum(_E.granted).label("granted"),
            func.sum(_E.topped_up).label("topped_up"),
            func.sum(_E.reserved).label("reserved"),
        )
        .group_by(_E.account_id)
        .subquery()
    )
    account_id = func.coalesce(_B.account_id, sums.c.account_id).label("account_id")
    differs = or_(
        *(
            func.coalesce(_B[name], 0) != func.coalesce(sums.c[name], 0)
            for name in ("granted", "topped_up", "reserved")
        )
    )
    return (
        select(
            literal("the entries do not add up to the balance").label("what"),
            account_id,
            cast(null(), String).label("job_id"),
        )
        .select_from(CREDIT_BALANCES.join(sums, sums.c.account_id == _B.account_id, full=True))
        .where(differs)
    )


def _settled_twice() -> Select[Any]:
    return (
        select(
            literal("settled more than once").label("what"),
            func.min(_E.account_id).label("account_id"),
            _E.job_id,
        )
        .where(_E.kind.in_(_SETTLEMENTS))
        .group_by(_E.job_id)
        .having(func.count() > 1)
    )


def _kept_after_the_end() -> Select[Any]:
    """Reserved for a job that has ended, or is not there."""
    other = CREDIT_ENTRIES.alias("other")
    settled = select(other.c.id).where(other.c.job_id == _E.job_id, other.c.kind.in_(_SETTLEMENTS)).exists()
    return (
        select(literal("reserved for a job that has ended").label("what"), _E.account_id, _E.job_id)
        .select_from(CREDIT_ENTRIES.outerjoin(JOBS, _J.id == _E.job_id))
        .where(_E.kind == EntryKind.RESERVE, ~settled, or_(_J.id.is_(None), _J.state.in_(_ENDED)))
    )


def _wrong_way() -> Select[Any]:
    """Captured without completion, released with it, or settled before the end."""
    return (
        select(literal("settled otherwise than the job ended").label("what"), _E.account_id, _E.job_id)
        .join_from(CREDIT_ENTRIES, JOBS, _J.id == _E.job_id)
        .where(
            or_(
                and_(_E.kind == EntryKind.CAPTURE, _J.state != JobState.COMPLETED),
                and_(
                    _E.kind == EntryKind.RELEASE,
                    or_(_J.state == JobState.COMPLETED, _J.state.not_in(_ENDED)),
                ),
            )
        )
    )


def _without_reserve() -> Select[Any]:
    reserve = select(_E.id).where(_E.job_id == _J.id, _E.kind == EntryKind.RESERVE).exists()
    return select(
        literal("its price was never reserved").label("what"), _J.account_id, _J.id.label("job_id")
    ).where(_J.price > 0, ~reserve)
