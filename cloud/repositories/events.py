"""Lasting events: written with what caused them, numbered and published afterwards."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    String,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    update,
)

from cloud.repositories.now import NOW, SEEN_SINCE, Clock
from cloud.tables.account import ACCOUNTS
from cloud.tables.event import EVENTS
from shared.api.events import BATCH_COMPLETED, dump_batch_completed, dump_event
from shared.errors import JsonValue
from shared.jobs.batch import BatchCompleted
from shared.jobs.events import JobEvent

__all__ = ["EventRows", "LastingEvent", "new_event_row"]

_E = EVENTS.c
_TOLD_WITHIN = timedelta(seconds=3)  # of its making; later, its publisher may have died
_PUBLISHER_LOCK = 0x5AFE1164

# Built once: these run with every change of a job.
_MOST = bindparam("most", type_=Integer)
_OWNER = bindparam("owner", type_=String)
_ADD = insert(EVENTS).values(at=NOW).inline()
_EVENTS = select(_E.id, _E.account_id, _E.job_id, _E.kind, _E.body, _E.number)
_UNPUBLISHED = (
    _EVENTS.where(_E.published_at.is_(None), or_(_E.number.is_(None), _E.at < SEEN_SINCE))
    .order_by(_E.id)
    .limit(_MOST)
)
_NUMBER = update(EVENTS).where(_E.id == bindparam("event_id")).values(number=bindparam("event_number"))
_COUNT = (
    update(ACCOUNTS)
    .where(ACCOUNTS.c.id == _OWNER)
    .values(last_event=ACCOUNTS.c.last_event + bindparam("more", type_=Integer))
    .returning(ACCOUNTS.c.last_event)
)
_PUBLISHED = (
    update(EVENTS)
    .where(_E.id.in_(bindparam("told", type_=BigInteger, expanding=True)))
    .values(published_at=NOW)
)
_LATER = _EVENTS.where(_E.account_id == _OWNER, _E.number > bindparam("reached", type_=BigInteger))
_AFTER = _LATER.order_by(_E.number).limit(_MOST)
_AFTER_OF_JOB = (
    _LATER.where(_E.job_id == bindparam("job", type_=String), _E.kind != BATCH_COMPLETED)
    .order_by(_E.number)
    .limit(_MOST)
)


@dataclass(frozen=True, slots=True)
class LastingEvent:
    """`body` is the event in its JSON form, on one line; `number` counts within the account."""

    id: int
    account_id: str
    job_id: str
    kind: str
    body: str
    number: int


class EventRows:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def add(self, account_id: str, event: JobEvent) -> None:
        self.add_all(account_id, (event,))

    def add_all(self, account_id: str, events: Sequence[JobEvent]) -> None:
        """In this order."""
        rows = [new_event_row(account_id, event) for event in events]
        self._connection.execute(_ADD, [row | self._clock.stamps for row in rows])

    def add_batch_completed(self, account_id: str, event: BatchCompleted) -> None:
        row = _row(account_id, event.job_id, dump_batch_completed(event))
        self._connection.execute(_ADD, row | self._clock.stamps)

    def number_unpublished(self, limit: int) -> tuple[LastingEvent, ...]:
        """Those that wait for a publisher, each with its number from now on; none while another is at it.
        What another has numbered is its own to tell, unless it has not told it for a while."""
        if not self._alone():
            return ()
        rows = self._connection.execute(
            _UNPUBLISHED, {"most": limit, **self._clock.stamps_since(_TOLD_WITHIN)}
        ).all()
        new = [row for row in rows if row.number is None]
        numbers = self._numbers(Counter(row.account_id for row in new))
        given = {row.id: next(numbers[row.account_id]) for row in new}
        if given:
            self._connection.execute(
                _NUMBER,
                [{"event_id": id_, "event_number": number} for id_, number in given.items()],
            )
        return tuple(
            LastingEvent(
                row.id, row.account_id, row.job_id, row.kind, row.body, given.get(row.id, row.number)
            )
            for row in rows
        )

    def mark_published(self, events: tuple[LastingEvent, ...]) -> None:
        self._connection.execute(_PUBLISHED, {"told": [event.id for event in events], **self._clock.stamps})

    def after(
        self, account_id: str, number: int, *, job_id: str | None, limit: int
    ) -> tuple[LastingEvent, ...]:
        query = _AFTER if job_id is None else _AFTER_OF_JOB
        values = {"owner": account_id, "reached": number, "job": job_id, "most": limit}
        rows = self._connection.execute(query, values)
        return tuple(LastingEvent(*row) for row in rows)

    def span(self, account_id: str) -> tuple[int, int]:
        """The numbers of the first event that is still kept and of the last one given."""
        last = self._connection.execute(
            select(ACCOUNTS.c.last_event).where(ACCOUNTS.c.id == account_id)
        ).scalar_one()
        first = self._connection.execute(
            select(func.min(_E.number)).where(_E.account_id == account_id)
        ).scalar_one()
        return (last + 1 if first is None else first), last

    def forget_older(self, age: timedelta) -> int:
        """How many were forgotten."""
        gone = self._connection.execute(
            delete(EVENTS).where(_E.at < self._clock.now(-age), _E.published_at.is_not(None))
        )
        return gone.rowcount

    def _alone(self) -> bool:
        """SQLite has one writer anyway."""
        if self._connection.dialect.name == "sqlite":
            return True
        lock = text("SELECT pg_try_advisory_xact_lock(:key)").bindparams(key=_PUBLISHER_LOCK)
        return bool(self._connection.execute(lock).scalar_one())

    def _numbers(self, counts: Counter[str]) -> dict[str, Iterator[int]]:
        numbers: dict[str, Iterator[int]] = {}
        for account_id, count in sorted(counts.items()):
            last = self._connection.execute(_COUNT, {"owner": account_id, "more": count}).scalar_one()
            numbers[account_id] = iter(range(last - count + 1, last + 1))
        return numbers


def new_event_row(account_id: str, event: JobEvent) -> dict[str, Any]:
    """Not numbered yet; its time is the database's."""
    return _row(account_id, event.job_id, dump_event(event))


def _row(account_id: str, job_id: str, data: Mapping[str, JsonValue]) -> dict[str, Any]:
    return {
        "account_id": account_id,
        "job_id": job_id,
        "kind": data["event"],
        "body": json.dumps(data, separators=(",", ":")),
    }
