"""API keys: who a key acts for, and until when."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, String, and_, bindparam, func, insert, or_, select, update

from cloud.repositories.now import NOW, SEEN_SINCE, Clock
from cloud.tables.account import ACCOUNTS, API_KEYS
from shared.api.accounts import Plan

__all__ = ["KeyRecord", "KeyRows"]

_USE_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """`usable` is false once it was revoked or has expired; `use_noted` false when its use is news.

    `plan`, `graphs_allowed` and `pool` are the account's.
    """

    id: str
    account_id: str
    name: str
    prefix: str
    digest: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    requests_per_minute: int | None
    usable: bool
    use_noted: bool
    plan: Plan
    graphs_allowed: bool
    pool: str | None


class KeyRows:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def add(
        self,
        *,
        key_id: str,
        account_id: str,
        name: str,
        prefix: str,
        digest: str,
        scopes: Collection[str],
        valid_for: timedelta | None,
        requests_per_minute: int | None = None,
    ) -> None:
        self._connection.execute(
            insert(API_KEYS).values(
                id=key_id,
                account_id=account_id,
                name=name,
                prefix=prefix,
                digest=digest,
                scopes=sorted(scopes),
                created_at=self._clock.now(),
                expires_at=None if valid_for is None else self._clock.now(valid_for),
                requests_per_minute=requests_per_minute,
            )
        )

    def find(self, digest: str) -> KeyRecord | None:
        row = self._connection.execute(_FIND, {"wanted": digest, **self._moments()}).one_or_none()
        return None if row is None else _record(row)

    def is_usable(self, key_id: str) -> bool:
        key = self.by_id(key_id)
        return key is not None and key.usable

    def by_id(self, key_id: str) -> KeyRecord | None:
        row = self._connection.execute(_KEYS.where(API_KEYS.c.id == key_id), self._moments()).one_or_none()
        return None if row is None else _record(row)

    def all(self) -> tuple[KeyRecord, ...]:
        rows = self._connection.execute(_KEYS.order_by(API_KEYS.c.created_at), self._moments())
        return tuple(map(_record, rows))

    def revoke(self, key_id: str) -> bool:
        """False if there is no such key; revoking twice is no error."""
        changed = self._connection.execute(
            update(API_KEYS)
            .where(API_KEYS.c.id == key_id)
            .values(revoked_at=self._clock.now())
            .returning(API_KEYS.c.id)
        )
        return changed.first() is not None

    def note_use(self, key_id: str) -> None:
        self._connection.execute(
            update(API_KEYS).where(API_KEYS.c.id == key_id).values(last_used_at=self._clock.now())
        )

    def _moments(self) -> dict[str, float | str]:
        return self._clock.stamps | self._clock.stamps_since(_USE_NOTED_EVERY)


def _record(row: Row[Any]) -> KeyRecord:
    return KeyRecord(**{**row._mapping, "scopes": tuple(row.scopes), "plan": Plan(row.plan)})


# Built once: keys are looked up with every request.
_KEYS = select(
    API_KEYS,
    and_(
        API_KEYS.c.revoked_at.is_(None),
        or_(API_KEYS.c.expires_at.is_(None), API_KEYS.c.expires_at > NOW),
    ).label("usable"),
    func.coalesce(API_KEYS.c.last_used_at > SEEN_SINCE, False).label("use_noted"),
    ACCOUNTS.c.plan,
    ACCOUNTS.c.graphs_allowed,
    ACCOUNTS.c.pool,
).join(ACCOUNTS, ACCOUNTS.c.id == API_KEYS.c.account_id)
_FIND = _KEYS.where(API_KEYS.c.digest == bindparam("wanted", type_=String))
