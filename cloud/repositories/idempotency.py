"""Answers to be given again to a request that comes twice."""

from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from sqlalchemy import Connection, delete, select
from sqlalchemy.sql.dml import ReturningInsert

from cloud.repositories.now import NOW, Clock
from cloud.repositories.upsert import insert_for
from cloud.tables.job import IDEMPOTENCY_KEYS

__all__ = ["IdempotencyRows", "StoredAnswer"]

_T = IDEMPOTENCY_KEYS.c


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    request_digest: str
    answer: str


class IdempotencyRows:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def take(self, account_id: str, key: str, request_digest: str, answer: str) -> StoredAnswer | None:
        """Store the answer under the key; if the key is taken, return what stands there instead.

        Waits for another transaction that is about to take the same key.
        """
        row = {"account_id": account_id, "key": key, "request_digest": request_digest, "answer": answer}
        take = _take(self._connection.dialect.name)
        taken = self._connection.execute(take, row | self._clock.stamps).first()
        return None if taken is not None else self.find(account_id, key)

    def find(self, account_id: str, key: str) -> StoredAnswer | None:
        stored = self._connection.execute(
            select(_T.request_digest, _T.answer).where(_T.account_id == account_id, _T.key == key)
        ).one_or_none()
        return None if stored is None else StoredAnswer(stored.request_digest, stored.answer)

    def forget_older(self, age: timedelta) -> int:
        """How many were forgotten."""
        gone = self._connection.execute(delete(IDEMPOTENCY_KEYS).where(_T.created_at < self._clock.now(-age)))
        return gone.rowcount


@cache
def _take(dialect: str) -> ReturningInsert[tuple[str]]:
    """Built once: this is asked with every submission."""
    statement = insert_for(dialect, IDEMPOTENCY_KEYS).values(created_at=NOW)
    return statement.on_conflict_do_nothing().returning(_T.key)
