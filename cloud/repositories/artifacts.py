"""Artifacts: what is known of stored files."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from functools import cache

from sqlalchemy import Connection, String, bindparam, case, func, select, update
from sqlalchemy.sql.dml import ReturningInsert

from cloud.errors import BeingDeleted
from cloud.repositories.now import NOW, Clock
from cloud.repositories.upsert import Insert, insert, insert_for
from cloud.tables.artifact import ARTIFACTS
from shared.api.artifacts import ArtifactState

__all__ = ["ArtifactFacts", "ArtifactRecord", "ArtifactRows"]

_A = ARTIFACTS.c
_IS_READY = _A.state == ArtifactState.READY
_STAYS = _A.deleting_at.is_(None)


@dataclass(frozen=True, slots=True)
class ArtifactFacts:
    """What looking at the bytes told; `width` and `height` in pixels where they are a picture."""

    media_type: str
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class ArtifactRecord:
    """A condemned one is deleted soon, unless it is touched."""

    digest: str
    state: ArtifactState
    bytes: int
    media_type: str | None
    width: int | None
    height: int | None
    problem_code: str | None
    problem_message: str | None
    created_at: datetime
    derived_from: str | None
    condemned_at: datetime | None


class ArtifactRows:
    """An artifact that is being deleted is not there, but its digest cannot be announced either."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def announce(self, account_id: str, digest: str, size: int) -> ArtifactRecord:
        """Wanted from now on, unless it is ready. Nothing may be stored under a digest that was not
        announced shortly before: what nobody wants is deleted. Raises BeingDeleted."""
        row = {"account_id": account_id, "digest": digest, "bytes": size}
        announce = _announce(self._connection.dialect.name)
        _require_kept(self._connection.execute(announce, row | self._clock.stamps).first())
        [found] = self.find_all(account_id, (digest,))
        return found

    def find(self, account_id: str, digest: str) -> ArtifactRecord | None:
        return next(iter(self.find_all(account_id, (digest,))), None)

    def find_all(self, account_id: str, digests: Collection[str]) -> tuple[ArtifactRecord, ...]:
        rows = self._connection.execute(_FIND, {"owner": account_id, "wanted": list(digests)})
        return tuple(ArtifactRecord(**{**row._mapping, "state": ArtifactState(row.state)}) for row in rows)

    def for_use(self, account_id: str, digests: Collection[str]) -> tuple[ArtifactRecord, ...]:
        """Those there are, for jobs that are written in this transaction: none of them goes before its
        jobs have ended."""
        found = self.find_all(account_id, digests)
        condemned = [artifact.digest for artifact in found if artifact.condemned_at is not None]
        if not condemned:
            return found
        self.touch(account_id, condemned)
        return self.find_all(account_id, digests)

    def touch(self, account_id: str, digests: Collection[str]) -> int:
        """They are kept for as long again, condemned or not; how many there were to keep."""
        touched = self._connection.execute(
            update(ARTIFACTS)
            .where(_A.account_id == account_id, _A.digest.in_(digests), _STAYS)
            .values(touched_at=self._clock.now(), condemned_at=None)
        )
        return touched.rowcount

    def accept(
        self, account_id: str, digest: str, facts: ArtifactFacts, *, derived_from: str | None = None
    ) -> None:
        row = {"owner": account_id, "wanted": digest, "derived": derived_from, **asdict(facts)}
        self._connection.execute(_ACCEPT, row | self._clock.stamps)

    def refuse(self, account_id: str, digest: str, code: str, message: str) -> None:
        self._connection.execute(
            update(ARTIFACTS)
            .where(_A.account_id == account_id, _A.digest == digest, _A.state == ArtifactState.WANTED, _STAYS)
            .values(state=ArtifactState.REFUSED, problem_code=code, problem_message=message)
        )

    def add_made(self, account_id: str, digest: str, size: int, facts: ArtifactFacts) -> None:
        """Bytes that a job made and that were checked: ready at once, whatever was known before.

        Raises BeingDeleted.
        """
        now = self._clock.now()
        ready = {**self._ready(facts), "bytes": size}
        statement = insert(self._connection, ARTIFACTS).values(
            account_id=account_id, digest=digest, created_at=now, touched_at=now, **ready
        )
        self._upsert(statement, ready)

    def _ready(self, facts: ArtifactFacts) -> dict[str, object]:
        return {
            "state": ArtifactState.READY,
            "media_type": facts.media_type,
            "width": facts.width,
            "height": facts.height,
            "ready_at": self._clock.now(),
            "problem_code": None,
            "problem_message": None,
        }

    def _upsert(self, statement: Insert, changes: Mapping[str, object]) -> None:
        touched = {**changes, "touched_at": self._clock.now(), "condemned_at": None}
        done = self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[_A.account_id, _A.digest], set_=touched, where=_STAYS
            ).returning(_A.digest)
        )
        _require_kept(done.first())


def _require_kept(upserted: object | None) -> None:
    if upserted is None:
        raise BeingDeleted("this file is just being deleted; send it again in a moment")


@cache
def _announce(dialect: str) -> ReturningInsert[tuple[str]]:
    """Built once: this is asked with every file that comes."""
    statement = insert_for(dialect, ARTIFACTS).values(
        state=ArtifactState.WANTED, created_at=NOW, touched_at=NOW
    )
    changes = {
        "state": case((_IS_READY, _A.state), else_=ArtifactState.WANTED),
        "bytes": case((_IS_READY, _A.bytes), else_=statement.excluded.bytes),
        "problem_code": None,
        "problem_message": None,
        "touched_at": NOW,
        "condemned_at": None,
    }
    return statement.on_conflict_do_update(
        index_elements=[_A.account_id, _A.digest], set_=changes, where=_STAYS
    ).returning(_A.digest)


_ACCEPT = (
    update(ARTIFACTS)
    .where(
        _A.account_id == bindparam("owner", type_=String),
        _A.digest == bindparam("wanted", type_=String),
        _STAYS,
    )
    .values(
        state=ArtifactState.READY,
        media_type=bindparam("media_type"),
        width=bindparam("width"),
        height=bindparam("height"),
        derived_from=func.coalesce(bindparam("derived", type_=String), _A.derived_from),
        ready_at=NOW,
        touched_at=NOW,
        condemned_at=None,
        problem_code=None,
        problem_message=None,
    )
)
_COLUMNS = [_A[field.name] for field in fields(ArtifactRecord)]
_FIND = select(*_COLUMNS).where(
    _A.account_id == bindparam("owner", type_=String),
    _A.digest.in_(bindparam("wanted", type_=String, expanding=True)),
    _STAYS,
)
