"""What the seats of the workers can run, as they last said."""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select

from cloud.repositories.now import Clock
from cloud.repositories.upsert import insert
from cloud.tables.seat import SEATS
from shared.engines.base import Capabilities
from shared.errors import JsonValue

__all__ = ["SeatRows"]

_S = SEATS.c


class SeatRows:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def see(self, worker: str, seat: str, pools: Collection[str], capabilities: Capabilities | None) -> None:
        """The seat is there now; None while its engine does not answer."""
        for pool in sorted(pools):
            key = {"worker": worker, "seat": seat, "pool": pool}
            said = {"capabilities": _data(capabilities), "seen_at": self._clock.now()}
            statement = insert(self._connection, SEATS).values(key | said)
            self._connection.execute(
                statement.on_conflict_do_update(index_elements=list(SEATS.primary_key), set_=said)
            )

    def remove(self, worker: str) -> None:
        self._connection.execute(delete(SEATS).where(_S.worker == worker))

    def of_pool(
        self, pool: str, *, seen_within: timedelta, said_since: datetime
    ) -> tuple[Capabilities | None, ...]:
        """Of the seats that are there; None for one that has said nothing since that time."""
        rows = self._connection.execute(
            select(_S.capabilities, _S.seen_at).where(
                _S.pool == pool, _S.seen_at > self._clock.now(-seen_within)
            )
        )
        return tuple(_capabilities(row.capabilities) if row.seen_at >= said_since else None for row in rows)

    def forget_older(self, age: timedelta) -> int:
        done = self._connection.execute(delete(SEATS).where(_S.seen_at < self._clock.now(-age)))
        return done.rowcount


def _data(capabilities: Capabilities | None) -> JsonValue:
    if capabilities is None:
        return None
    classes = capabilities.node_classes
    return {
        "node_classes": None if classes is None else sorted(classes),
        "models": {folder: list(names) for folder, names in capabilities.models.items()},
    }


def _capabilities(data: dict[str, dict[str, list[str]] | None] | None) -> Capabilities | None:
    if data is None:
        return None
    classes, models = data["node_classes"], data["models"] or {}
    return Capabilities(
        accepts_graphs=True,
        node_classes=None if classes is None else frozenset(classes),
        models={folder: tuple(names) for folder, names in models.items()},
    )
