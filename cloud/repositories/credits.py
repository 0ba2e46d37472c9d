"""Credits: one balance per account, and an entry for every change of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Select,
    bindparam,
    case,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate

from cloud.repositories.now import NOW, Clock
from cloud.repositories.upsert import insert_for
from cloud.tables.account import ACCOUNTS
from cloud.tables.credit import CREDIT_BALANCES, CREDIT_ENTRIES
from shared.api.accounts import Plan
from shared.api.credits import EntryKind

__all__ = ["Balance", "Charge", "CreditRows", "Entry", "Reserve", "Taken"]

_B = CREDIT_BALANCES.c
_E = CREDIT_ENTRIES.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What may be spent, `granted` until `period` is over; `jobs` were accepted in it."""

    account_id: str
    granted: int
    topped_up: int
    reserved: int
    period: str
    jobs: int

    @property
    def available(self) -> int:
        return self.granted + self.topped_up


@dataclass(frozen=True, slots=True)
class Taken:
    """What a reservation took of the grant; the rest came of the top-ups."""

    from_grant: int
    period: str


@dataclass(frozen=True, slots=True)
class Reserve:
    """What is set aside for one job, by where it came from."""

    job_id: str
    from_grant: int
    from_top_up: int


@dataclass(frozen=True, slots=True)
class Charge:
    """What was captured for a job."""

    account_id: str
    price: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One change; the amounts are what each part of the balance gained."""

    id: int
    kind: EntryKind
    granted: int
    topped_up: int
    reserved: int
    period: str
    job_id: str | None
    note: str | None
    at: datetime


_COLUMNS = (_B.account_id, _B.granted, _B.topped_up, _B.reserved, _B.period, _B.jobs)
_ENTRY_COLUMNS = (_E.id, _E.kind, _E.granted, _E.topped_up, _E.reserved, _E.period, _E.job_id, _E.note, _E.at)
_ADD = insert(CREDIT_ENTRIES).values(at=NOW).inline()  # built once: it runs with every priced job


class CreditRows:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def find(self, account_id: str) -> Balance | None:
        row = self._connection.execute(select(*_COLUMNS).where(_B.account_id == account_id)).one_or_none()
        return None if row is None else Balance(**row._mapping)

    def open_locked(self, account_id: str) -> Balance:
        """The balance, made if there was none, and nobody else's until the transaction ends."""
        empty = {"account_id": account_id, "granted": 0, "topped_up": 0, "reserved": 0}
        self._connection.execute(
            insert_for(self._connection.dialect.name, CREDIT_BALANCES)
            .values(**empty, from_grant=0, period="", jobs=0)
            .on_conflict_do_nothing()
        )
        row = self._connection.execute(
            select(*_COLUMNS).where(_B.account_id == account_id).with_for_update()
        ).one()
        return Balance(**row._mapping)

    def take(
        self, account_id: str, *, price: int, jobs: int, max_jobs: int | None, period: str
    ) -> Taken | None:
        """Set `price` aside for so many jobs, the grant first; None where the credits or the month's
        jobs do not suffice, or the balance is that of an earlier period. One statement: it cannot be
        overtaken."""
        row = self._connection.execute(
            _take(),
            {
                "wanted_account": account_id,
                "wanted": price,
                "wanted_jobs": jobs,
                "most_jobs": 2**31 - 1 if max_jobs is None else max_jobs,
                "wanted_period": period,
            },
        ).one_or_none()
        return None if row is None else Taken(row.from_grant, row.period)

    def add_reserves(self, account_id: str, reserves: Sequence[Reserve], period: str) -> None:
        rows = [
            {
                "account_id": account_id,
                "kind": EntryKind.RESERVE,
                "granted": -reserve.from_grant,
                "topped_up": -reserve.from_top_up,
                "reserved": reserve.from_grant + reserve.from_top_up,
                "period": period,
                "job_id": reserve.job_id,
            }
            | self._clock.stamps
            for reserve in reserves
        ]
        self._connection.execute(_ADD, rows)

    def settle(self, job_id: str, kind: EntryKind) -> bool:
        """Capture or release what the job has set aside; false if that was done, or there is nothing.

        What is released goes back where it came from, and lapses if that grant's period is over.
        """
        settled = self._connection.execute(
            _settle(self._connection.dialect.name, kind), {"settled_job": job_id} | self._clock.stamps
        ).one_or_none()
        if settled is None:
            return False
        period = self._connection.execute(
            update(CREDIT_BALANCES)
            .where(_B.account_id == settled.account_id)
            .values(
                granted=_B.granted + case((_B.period == settled.period, settled.granted), else_=0),
                topped_up=_B.topped_up + settled.topped_up,
                reserved=_B.reserved + settled.reserved,
            )
            .returning(_B.period)
        ).scalar_one()
        if settled.granted and period != settled.period:
            self.add(
                settled.account_id,
                EntryKind.LAPSE,
                granted=-settled.granted,
                period=settled.period,
                job_id=job_id,
            )
        return True

    def change(self, account_id: str, *, granted: int = 0, topped_up: int = 0) -> None:
        """The caller holds the lock and adds the entry."""
        self._connection.execute(
            update(CREDIT_BALANCES)
            .where(_B.account_id == account_id)
            .values(granted=_B.granted + granted, topped_up=_B.topped_up + topped_up)
        )

    def begin_period(self, account_id: str, period: str, granted: int) -> None:
        self._connection.execute(
            update(CREDIT_BALANCES)
            .where(_B.account_id == account_id)
            .values(granted=granted, period=period, jobs=0)
        )

    def add(
        self,
        account_id: str,
        kind: EntryKind,
        *,
        granted: int = 0,
        topped_up: int = 0,
        period: str,
        job_id: str | None = None,
        note: str | None = None,
    ) -> None:
        """An entry alone."""
        row = {
            "account_id": account_id,
            "kind": kind,
            "granted": granted,
            "topped_up": topped_up,
            "reserved": 0,
            "period": period,
            "job_id": job_id,
            "note": note,
        }
        self._connection.execute(_ADD, row | self._clock.stamps)

    def granted_by_plans(self, account_id: str, period: str) -> int:
        """Operators only ever adjust a grant downwards."""
        gained = select(func.coalesce(func.sum(_E.granted), 0)).where(
            _E.account_id == account_id,
            _E.period == period,
            _E.kind.in_((EntryKind.GRANT, EntryKind.ADJUST)),
            _E.granted > 0,
        )
        return int(self._connection.execute(gained).scalar_one())

    def behind(self, period: str, limit: int) -> tuple[tuple[str, Plan], ...]:
        """Accounts, with their plans, whose balance is that of an earlier period."""
        rows = self._connection.execute(
            select(_B.account_id, ACCOUNTS.c.plan)
            .join(ACCOUNTS, ACCOUNTS.c.id == _B.account_id)
            .where(_B.period < period)
            .order_by(_B.account_id)
            .limit(limit)
        )
        return tuple((row.account_id, Plan(row.plan)) for row in rows)

    def charge(self, job_id: str) -> Charge | None:
        row = self._connection.execute(
            select(_E.account_id, -_E.reserved).where(_E.job_id == job_id, _E.kind == EntryKind.CAPTURE)
        ).one_or_none()
        return None if row is None else Charge(*row)

    def was_refunded(self, job_id: str) -> bool:
        found = self._connection.execute(
            select(_E.id).where(_E.job_id == job_id, _E.kind == EntryKind.ADJUST)
        )
        return found.first() is not None

    def entries(self, account_id: str, *, before: int | None, limit: int) -> tuple[Entry, ...]:
        """Newest first."""
        query = select(*_ENTRY_COLUMNS).where(_E.account_id == account_id)
        if before is not None:
            query = query.where(_E.id < before)
        return self._read(query.order_by(_E.id.desc()).limit(limit))

    def of_job(self, job_id: str) -> tuple[Entry, ...]:
        """In the order in which they were made."""
        return self._read(select(*_ENTRY_COLUMNS).where(_E.job_id == job_id).order_by(_E.id))

    def _read(self, query: Select[Any]) -> tuple[Entry, ...]:
        rows = self._connection.execute(query)
        return tuple(Entry(**{**row._mapping, "kind": EntryKind(row.kind)}) for row in rows)


@cache
def _take() -> ReturningUpdate[Any]:
    """Built once: this is asked with every submission."""
    wanted = bindparam("wanted", type_=Integer)
    jobs = bindparam("wanted_jobs", type_=Integer)
    from_grant = case((_B.granted < wanted, _B.granted), else_=wanted)
    return (
        update(CREDIT_BALANCES)
        .where(
            _B.account_id == bindparam("wanted_account"),
            _B.period >= bindparam("wanted_period"),
            _B.granted + _B.topped_up >= wanted,
            _B.jobs + jobs <= bindparam("most_jobs", type_=BigInteger),
        )
        .values(
            granted=_B.granted - from_grant,
            topped_up=_B.topped_up - (wanted - from_grant),
            reserved=_B.reserved + wanted,
            from_grant=from_grant,
            jobs=_B.jobs + jobs,
        )
        .returning(_B.from_grant, _B.period)
    )


@cache
def _settle(dialect: str, kind: EntryKind) -> ReturningInsert[Any]:
    """The reservation of a job turned round; nothing where it was before, by the unique index."""
    back = kind is EntryKind.RELEASE
    names = ["account_id", "kind", "granted", "topped_up", "reserved", "period", "job_id", "at"]
    settlement = select(
        _E.account_id,
        literal(kind.value),
        -_E.granted if back else literal(0, Integer),
        -_E.topped_up if back else literal(0, Integer),
        -_E.reserved,
        _E.period,
        _E.job_id,
        NOW,
    ).where(_E.job_id == bindparam("settled_job"), _E.kind == EntryKind.RESERVE.value)
    return (
        insert_for(dialect, CREDIT_ENTRIES)
        .from_select(names, settlement)
        .on_conflict_do_nothing()
        .returning(_E.account_id, _E.granted, _E.topped_up, _E.reserved, _E.period)
    )
