"""Whether the entries of credits add up to the balances, and to what became of the jobs: asked page by page,
so that no statement reads them all."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, assert_never

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    String,
    and_,
    cast,
    func,
    literal,
    null,
    or_,
    select,
    text,
)

from cloud.repositories.now import Clock
from cloud.tables.account import ACCOUNTS
from cloud.tables.credit import CREDIT_BALANCES, CREDIT_ENTRIES
from cloud.tables.job import JOBS
from shared.api.credits import EntryKind
from shared.jobs.state import JobState, is_terminal

__all__ = [
    "AccountsAfter",
    "AuditFinding",
    "AuditPage",
    "AuditPlace",
    "CreditAuditRows",
    "EntriesAfter",
    "JobsAfter",
]

_B = CREDIT_BALANCES.c
_E = CREDIT_ENTRIES.c
_J = JOBS.c
_SETTLEMENTS = (EntryKind.CAPTURE, EntryKind.RELEASE)
_ENDED = tuple(state for state in JobState if is_terminal(state))
_OTHER = CREDIT_ENTRIES.alias("other")
# As the partial indexes say it, so that they are used.
_OTHER_SETTLES = text("other.kind IN ('capture', 'release')")
_OTHER_RESERVES = text("other.kind = 'reserve'")


@dataclass(frozen=True, slots=True)
class AuditFinding:
    """`what` does not hold for the account, or for one job of it."""

    what: str
    account_id: str
    job_id: str | None


@dataclass(frozen=True, slots=True)
class AccountsAfter:
    id: str = ""


@dataclass(frozen=True, slots=True)
class EntriesAfter:
    id: int = 0


@dataclass(frozen=True, slots=True)
class JobsAfter:
    number: int = 0


AuditPlace: TypeAlias = AccountsAfter | EntriesAfter | JobsAfter


@dataclass(frozen=True, slots=True)
class AuditPage:
    """`next` is None after the last one."""

    findings: tuple[AuditFinding, ...]
    next: AuditPlace | None


class CreditAuditRows:
    """Each question is one statement: it sees one moment, whatever goes on beside it."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def page(self, place: AuditPlace, *, accounts: int, rows: int) -> AuditPage:
        """The sums of so many accounts, and then so many entries, and then so many jobs."""
        match place:
            case AccountsAfter(after):
                ids = self._accounts(after, accounts)
                if not ids:
                    return AuditPage((), EntriesAfter())
                return AuditPage(self._found([_sums(ids)]), AccountsAfter(ids[-1]))
            case EntriesAfter(after):
                last = self._last(_E.id, after, rows)
                if last is None:
                    return AuditPage((), JobsAfter())
                among = and_(_E.id > after, _E.id <= last)
                questions = (_settled_twice(among), _kept_after_the_end(among), _wrong_way(among))
                return AuditPage(self._found(questions), EntriesAfter(last))
            case JobsAfter(after):
                last = self._last(_J.number, after, rows)
                if last is None:
                    return AuditPage((), None)
                among = and_(_J.number > after, _J.number <= last)
                return AuditPage(self._found([_without_reserve(among)]), JobsAfter(last))
            case _:
                assert_never(place)

    def _accounts(self, after: str, most: int) -> Sequence[str]:
        ids = select(ACCOUNTS.c.id).where(ACCOUNTS.c.id > after).order_by(ACCOUNTS.c.id).limit(most)
        return self._connection.execute(ids).scalars().all()

    def _last(self, column: ColumnElement[int], after: int, most: int) -> int | None:
        """Of so many."""
        some = select(column.label("at")).where(column > after).order_by(column).limit(most).subquery()
        last: int | None = self._connection.execute(select(func.max(some.c.at))).scalar_one()
        return last

    def _found(self, questions: Iterable[Select[Any]]) -> tuple[AuditFinding, ...]:
        return tuple(
            AuditFinding(row.what, row.account_id, row.job_id)
            for question in questions
            for row in self._connection.execute(question)
        )


def _sums(account_ids: Sequence[str]) -> Select[Any]:
    sums = (
        select(
            _E.account_id,
            func.sum(_E.granted).label("granted"),
            func.sum(_E.topped_up).label("topped_up"),
            func.sum(_E.reserved).label("reserved"),
        )
        .where(_E.account_id.in_(account_ids))
        .group_by(_E.account_id)
        .subquery()
    )
    differs = or_(
        *(
            func.coalesce(_B[name], 0) != func.coalesce(sums.c[name], 0)
            for name in ("granted", "topped_up", "reserved")
        )
    )
    return (
        select(
            literal("the entries do not add up to the balance").label("what"),
            ACCOUNTS.c.id.label("account_id"),
            cast(null(), String).label("job_id"),
        )
        .select_from(
            ACCOUNTS.outerjoin(CREDIT_BALANCES, _B.account_id == ACCOUNTS.c.id).outerjoin(
                sums, sums.c.account_id == ACCOUNTS.c.id
            )
        )
        .where(ACCOUNTS.c.id.in_(account_ids), differs)
    )


def _settled_twice(among: ColumnElement[bool]) -> Select[Any]:
    before = (
        select(_OTHER.c.id).where(_OTHER.c.job_id == _E.job_id, _OTHER.c.id < _E.id, _OTHER_SETTLES).exists()
    )
    return select(literal("settled more than once").label("what"), _E.account_id, _E.job_id).where(
        among, _E.kind.in_(_SETTLEMENTS), before
    )


def _kept_after_the_end(among: ColumnElement[bool]) -> Select[Any]:
    """Reserved for a job that has ended, or is not there."""
    settled = select(_OTHER.c.id).where(_OTHER.c.job_id == _E.job_id, _OTHER_SETTLES).exists()
    return (
        select(literal("reserved for a job that has ended").label("what"), _E.account_id, _E.job_id)
        .select_from(CREDIT_ENTRIES.outerjoin(JOBS, _J.id == _E.job_id))
        .where(among, _E.kind == EntryKind.RESERVE, ~settled, or_(_J.id.is_(None), _J.state.in_(_ENDED)))
    )


def _wrong_way(among: ColumnElement[bool]) -> Select[Any]:
    """Captured without completion, released with it, or settled before the end."""
    return (
        select(literal("settled otherwise than the job ended").label("what"), _E.account_id, _E.job_id)
        .join_from(CREDIT_ENTRIES, JOBS, _J.id == _E.job_id)
        .where(
            among,
            or_(
                and_(_E.kind == EntryKind.CAPTURE, _J.state != JobState.COMPLETED),
                and_(
                    _E.kind == EntryKind.RELEASE,
                    or_(_J.state == JobState.COMPLETED, _J.state.not_in(_ENDED)),
                ),
            ),
        )
    )


def _without_reserve(among: ColumnElement[bool]) -> Select[Any]:
    reserve = select(_OTHER.c.id).where(_OTHER.c.job_id == _J.id, _OTHER_RESERVES).exists()
    return select(
        literal("its price was never reserved").label("what"), _J.account_id, _J.id.label("job_id")
    ).where(among, _J.price > 0, ~reserve)
