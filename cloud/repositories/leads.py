"""Who leads which server: one worker at a time, by a lease that it renews."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, Connection, delete, or_, select, update

from cloud.repositories.now import Clock
from cloud.repositories.upsert import insert
from cloud.tables.server import SERVERS, WORKERS
from shared.api.servers import ServerState

__all__ = ["WORKER_ALIVE", "LeadRows", "Leads"]

WORKER_ALIVE = timedelta(seconds=45)  # it says so a few times within each lease

_S = SERVERS.c
_W = WORKERS.c


@dataclass(frozen=True, slots=True)
class Leads:
    """How many servers each living worker leads, and the names of those that nobody does."""

    of_worker: dict[str, int]
    free: tuple[str, ...]


class LeadRows:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def see_worker(self, worker: str) -> None:
        """It lives."""
        now = self._clock.now()
        statement = insert(self._connection, WORKERS).values(name=worker, started_at=now, seen_at=now)
        self._connection.execute(
            statement.on_conflict_do_update(index_elements=[_W.name], set_={"seen_at": now})
        )

    def workers(self, within: timedelta) -> tuple[str, ...]:
        """Those that were seen within that time."""
        rows = self._connection.execute(select(_W.name).where(_W.seen_at > self._clock.now(-within)))
        return tuple(row.name for row in rows)

    def forget_workers(self, age: timedelta) -> int:
        """Those not seen for so long."""
        return self._connection.execute(delete(WORKERS).where(_W.seen_at < self._clock.now(-age))).rowcount

    def forget_all(self) -> None:
        """No worker lives any more."""
        self._connection.execute(delete(WORKERS))
        self._connection.execute(update(SERVERS).values(led_by=None, lead_until=None))

    def leave(self, worker: str) -> None:
        """The worker ends: others need not wait for its leases."""
        self._connection.execute(delete(WORKERS).where(_W.name == worker))
        self.give_up(worker, None)

    def renew(self, worker: str, lease: timedelta) -> None:
        """All that it still leads: a lease that another took meanwhile is gone."""
        self._connection.execute(
            update(SERVERS).where(_S.led_by == worker).values(lead_until=self._clock.now(lease))
        )

    def give_up(self, worker: str, names: Collection[str] | None) -> None:
        """None means all."""
        statement = update(SERVERS).where(_S.led_by == worker).values(led_by=None, lead_until=None)
        self._connection.execute(statement if names is None else statement.where(_S.name.in_(names)))

    def take(self, worker: str, names: Collection[str], lease: timedelta) -> None:
        """Those of them that are still free; whoever comes second takes nothing."""
        free = (
            select(_S.name)
            .where(_S.name.in_(names), self._is_free())
            .order_by(_S.name)
            .with_for_update(skip_locked=True)
        )
        self._connection.execute(
            update(SERVERS)
            .where(_S.name.in_(free), self._is_free())
            .values(led_by=worker, lead_until=self._clock.now(lease))
        )

    def look(self, living: Collection[str]) -> Leads:
        """Over all servers that are not disabled."""
        rows = self._connection.execute(
            select(_S.name, _S.led_by, self._is_free().label("is_free"))
            .where(_S.state != ServerState.DISABLED)
            .order_by(_S.name)
        ).all()
        counts = dict.fromkeys(living, 0)
        for row in rows:
            if not row.is_free and row.led_by in counts:
                counts[row.led_by] += 1
        return Leads(counts, tuple(row.name for row in rows if row.is_free))

    def _is_free(self) -> ColumnElement[bool]:
        return or_(_S.led_by.is_(None), _S.lead_until < self._clock.now())
