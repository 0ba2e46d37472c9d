"""Links by which accounts show pictures to others."""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, func, insert, select, update

from cloud.repositories.now import Clock
from cloud.tables.artifact import ARTIFACTS
from cloud.tables.share import SHARES

__all__ = ["NewShare", "ShareRecord", "ShareRows", "SharedFile"]

_S = SHARES.c
_A = ARTIFACTS.c


@dataclass(frozen=True, slots=True, kw_only=True)
class NewShare:
    id: str
    account_id: str
    digest: str
    source: str
    name: str
    token_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareRecord:
    number: int
    id: str
    digest: str
    source: str
    name: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedFile:
    """What a link shows."""

    account_id: str
    digest: str
    name: str
    bytes: int
    media_type: str


class ShareRows:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def add(self, share: NewShare, *, valid_for: timedelta) -> ShareRecord:
        row = {field.name: getattr(share, field.name) for field in fields(share)}
        made = self._connection.execute(
            insert(SHARES)
            .values(**row, created_at=self._clock.now(), expires_at=self._clock.now(valid_for))
            .returning(*_COLUMNS)
        ).one()
        return ShareRecord(**made._mapping)

    def page(self, account_id: str, *, before: int | None, limit: int) -> tuple[ShareRecord, ...]:
        """Newest first."""
        query = select(*_COLUMNS).where(_S.account_id == account_id)
        if before is not None:
            query = query.where(_S.number < before)
        rows = self._connection.execute(query.order_by(_S.number.desc()).limit(limit))
        return tuple(ShareRecord(**row._mapping) for row in rows)

    def revoke(self, account_id: str, share_id: str) -> bool:
        """False if there is none. Doing it twice is no error."""
        done = self._connection.execute(
            update(SHARES)
            .where(_S.account_id == account_id, _S.id == share_id)
            .values(revoked_at=func.coalesce(_S.revoked_at, self._clock.now()))
        )
        return done.rowcount > 0

    def shown_by(self, token_digest: str) -> SharedFile | None:
        """None once the link has expired or was revoked."""
        row = self._connection.execute(
            select(_S.account_id, _S.digest, _S.name, _A.bytes, _A.media_type)
            .join(ARTIFACTS, and_(_A.account_id == _S.account_id, _A.digest == _S.digest))
            .where(
                _S.token_digest == token_digest,
                _S.revoked_at.is_(None),
                _S.expires_at > self._clock.now(),
                _A.media_type.is_not(None),
                _A.deleting_at.is_(None),
            )
        ).one_or_none()
        return None if row is None else SharedFile(**row._mapping)


_COLUMNS = [_S[field.name] for field in fields(ShareRecord)]
