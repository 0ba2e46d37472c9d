"""Artifacts on their way out.

First an artifact is condemned; then, unless somebody touched it meanwhile, it is marked as being
deleted, which nobody can undo; then its bytes go, and its row last. Whoever deletes bytes holds the
mark, so that two do not delete the same, and what a dead one left is taken over.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Connection,
    Text,
    and_,
    delete,
    or_,
    select,
    text,
    tuple_,
    type_coerce,
    union_all,
    update,
)

from cloud.repositories.now import Clock
from cloud.repositories.upsert import insert
from cloud.tables.account import ACCOUNTS
from cloud.tables.artifact import ARTIFACTS
from cloud.tables.job import JOBS
from cloud.tables.share import SHARES
from shared.api.accounts import Plan
from shared.api.artifacts import ArtifactState

__all__ = ["ArtifactKey", "CollectionRows", "Leaving"]

_A = ARTIFACTS.c
_KEY = tuple_(_A.account_id, _A.digest)
_INPUTS = type_coerce(JOBS.c.inputs, Text).label("inputs")
_ROWS_AT_ONCE = 1000
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
# As the partial indexes say it: of an account's jobs, those that have ended are not looked at.
_LIVE = (text("jobs.state = 'queued'"), text("jobs.state IN ('processing', 'saving')"))


@dataclass(frozen=True, slots=True, order=True)
class ArtifactKey:
    account_id: str
    digest: str


@dataclass(frozen=True, slots=True)
class Leaving:
    """An artifact whose bytes are to be deleted by whoever set `marked_at`, and by nobody else."""

    key: ArtifactKey
    marked_at: datetime


class CollectionRows:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def condemn(self, *, plan: Plan, untouched_for: timedelta, limit: int) -> int:
        """Artifacts of accounts of this plan that nobody touched for so long."""
        accounts = select(ACCOUNTS.c.id).where(ACCOUNTS.c.plan == plan)
        return self._condemn(and_(self._untouched(untouched_for), _A.account_id.in_(accounts)), limit)

    def condemn_unfinished(self, *, untouched_for: timedelta, limit: int) -> int:
        """Artifacts that never came, or were refused."""
        return self._condemn(and_(self._untouched(untouched_for), _A.state != ArtifactState.READY), limit)

    def mark(self, *, condemned_for: timedelta, limit: int) -> tuple[Leaving, ...]:
        """Condemned ones that no job needs and no link shows, from now on being deleted by the caller.

        Rows are locked before the jobs are looked at: whoever submits one in this moment finds the
        artifact condemned, and either touches it first or finds it gone.
        """
        condemned = and_(_A.condemned_at < self._clock.now(-condemned_for), _A.deleting_at.is_(None))
        keys = {
            ArtifactKey(*row)
            for row in self._connection.execute(
                select(_A.account_id, _A.digest)
                .where(condemned)
                .order_by(_A.condemned_at)
                .limit(limit)
                .with_for_update(skip_locked=True)
            )
        }
        if not keys:
            return ()
        needed = self._needed(keys) & keys
        self._reprieve(needed)
        return self._mark(keys - needed, condemned)

    def take_over(self, *, marked_for: timedelta, limit: int) -> tuple[Leaving, ...]:
        """What others marked so long ago that they must be gone."""
        old = _A.deleting_at < self._clock.now(-marked_for)
        rows = self._connection.execute(
            select(_A.account_id, _A.digest).where(old).limit(limit).with_for_update(skip_locked=True)
        )
        return self._mark({ArtifactKey(*row) for row in rows}, old)

    def claim_strays(self, strays: Iterable[tuple[ArtifactKey, int]]) -> tuple[Leaving, ...]:
        """Bytes (so many) without a row: those of which there is still none are the caller's to delete."""
        now = self._clock.now()
        claimed = []
        for key, size in strays:
            row = self._connection.execute(
                insert(self._connection, ARTIFACTS)
                .values(
                    account_id=key.account_id,
                    digest=key.digest,
                    state=ArtifactState.REFUSED,
                    bytes=size,
                    created_at=now,
                    touched_at=now,
                    condemned_at=now,
                    deleting_at=now,
                )
                .on_conflict_do_nothing()
                .returning(_A.deleting_at)
            ).one_or_none()
            if row is not None:
                claimed.append(Leaving(key, row.deleting_at))
        return tuple(claimed)

    def still_leaving(self, leaving: Leaving) -> bool:
        """Whether it is still the caller's to delete."""
        found = select(_A.digest).where(_is(leaving.key), _A.deleting_at == leaving.marked_at)
        return self._connection.execute(found).first() is not None

    def forget(self, leaving: Leaving) -> None:
        """Its bytes are gone."""
        self._connection.execute(
            delete(ARTIFACTS).where(_is(leaving.key), _A.deleting_at == leaving.marked_at)
        )

    def known(self, keys: Collection[ArtifactKey]) -> set[ArtifactKey]:
        """Those that have a row."""
        pairs = [(key.account_id, key.digest) for key in keys]
        rows = self._connection.execute(select(_A.account_id, _A.digest).where(_KEY.in_(pairs)))
        return {ArtifactKey(*row) for row in rows}

    def accounts(self, ids: Collection[str]) -> set[str]:
        """Those that exist."""
        rows = self._connection.execute(select(ACCOUNTS.c.id).where(ACCOUNTS.c.id.in_(ids)))
        return {row.id for row in rows}

    def ready_after(self, key: ArtifactKey | None, limit: int) -> tuple[tuple[ArtifactKey, int], ...]:
        """Keys and sizes of ready artifacts, in order, for those who go through all of them."""
        query = select(_A.account_id, _A.digest, _A.bytes).where(
            _A.state == ArtifactState.READY, _A.deleting_at.is_(None)
        )
        if key is not None:
            query = query.where(tuple_(key.account_id, key.digest) < _KEY)
        rows = self._connection.execute(query.order_by(_A.account_id, _A.digest).limit(limit))
        return tuple((ArtifactKey(row.account_id, row.digest), row.bytes) for row in rows)

    def _untouched(self, age: timedelta) -> ColumnElement[bool]:
        before = self._clock.now(-age)
        touched = or_(_A.touched_at < before, and_(_A.touched_at.is_(None), _A.created_at < before))
        return and_(touched, _A.condemned_at.is_(None))

    def _condemn(self, which: ColumnElement[bool], limit: int) -> int:
        chosen = select(_A.account_id, _A.digest).where(which).limit(limit)
        done = self._connection.execute(
            update(ARTIFACTS)
            .where(_KEY.in_(chosen), _A.condemned_at.is_(None))
            .values(condemned_at=self._clock.now())
        )
        return done.rowcount

    def _mark(self, keys: Collection[ArtifactKey], which: ColumnElement[bool]) -> tuple[Leaving, ...]:
        if not keys:
            return ()
        pairs = [(key.account_id, key.digest) for key in keys]
        rows = self._connection.execute(
            update(ARTIFACTS)
            .where(_KEY.in_(pairs), which)
            .values(deleting_at=self._clock.now())
            .returning(_A.account_id, _A.digest, _A.deleting_at)
        )
        return tuple(Leaving(ArtifactKey(row.account_id, row.digest), row.deleting_at) for row in rows)

    def _reprieve(self, keys: Collection[ArtifactKey]) -> None:
        """Jobs that wait long should not be looked at each time."""
        if keys:
            pairs = [(key.account_id, key.digest) for key in keys]
            self._connection.execute(
                update(ARTIFACTS)
                .where(_KEY.in_(pairs))
                .values(touched_at=self._clock.now(), condemned_at=None)
            )

    def _needed(self, keys: Collection[ArtifactKey]) -> set[ArtifactKey]:
        """Those that are inputs of jobs that have not ended, or copies that a link still shows. One
        statement sees all those jobs, since they change places; they come some at a time."""
        accounts = {key.account_id for key in keys}
        live = union_all(
            *(
                select(JOBS.c.account_id, _INPUTS).where(JOBS.c.account_id.in_(accounts), state)
                for state in _LIVE
            )
        )
        needed = {
            key
            for row in self._connection.execute(live, execution_options={"yield_per": _ROWS_AT_ONCE})
            for digest in _DIGEST.findall(row.inputs)
            if (key := ArtifactKey(row.account_id, digest)) in keys
        }
        shares = self._connection.execute(
            select(SHARES.c.account_id, SHARES.c.digest).where(
                tuple_(SHARES.c.account_id, SHARES.c.digest).in_([(k.account_id, k.digest) for k in keys]),
                SHARES.c.revoked_at.is_(None),
                SHARES.c.expires_at > self._clock.now(),
            )
        )
        return needed | {ArtifactKey(*row) for row in shares}


def _is(key: ArtifactKey) -> ColumnElement[bool]:
    return and_(_A.account_id == key.account_id, _A.digest == key.digest)
