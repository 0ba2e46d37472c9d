"""Answers to be given again to a request that comes twice."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from cloud.repositories.now import Clock
from cloud.repositories.upsert import insert
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
        statement = insert(self._connection, IDEMPOTENCY_KEYS).values(
            account_id=account_id,
            key=key,
            request_digest=request_digest,
            answer=answer,
            created_at=self._clock.now(),
        )
        taken = self._connection.execute(
            statement.on_conflict_do_nothing().returning(IDEMPOTENCY_KEYS.c.key)
        ).first()
        if taken is not None:
            return None
        row = self._connection.execute(
            select(_T.request_digest, _T.answer).where(_T.account_id == account_id, _T.key == key)
        ).one()
        return StoredAnswer(row.request_digest, row.answer)
