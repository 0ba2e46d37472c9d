"""Tickets that open streams: each is taken once."""

from datetime import timedelta

from sqlalchemy import Connection, delete, insert

from cloud.repositories.keys import KeyRecord, KeyRows
from cloud.repositories.now import Clock
from cloud.tables.account import STREAM_TICKETS

__all__ = ["StreamTicketRows"]

_T = STREAM_TICKETS.c


class StreamTicketRows:
    def __init__(self, connection: Connection, clock: Clock, keys: KeyRows) -> None:
        self._connection = connection
        self._clock = clock
        self._keys = keys

    def add(self, digest: str, key_id: str, valid_for: timedelta) -> None:
        """Those that nobody used go meanwhile."""
        self._connection.execute(delete(STREAM_TICKETS).where(_T.expires_at < self._clock.now()))
        self._connection.execute(
            insert(STREAM_TICKETS).values(digest=digest, key_id=key_id, expires_at=self._clock.now(valid_for))
        )

    def take(self, digest: str) -> KeyRecord | None:
        """The key behind it, for the first who asks in time."""
        key_id = self._connection.execute(
            delete(STREAM_TICKETS)
            .where(_T.digest == digest, _T.expires_at > self._clock.now())
            .returning(_T.key_id)
        ).scalar_one_or_none()
        return None if key_id is None else self._keys.by_id(key_id)
