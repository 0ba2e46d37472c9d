"""Artifacts: what is known of stored files."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, update

from cloud.repositories.now import Clock
from cloud.repositories.upsert import insert
from cloud.tables.artifact import ARTIFACTS
from shared.api.artifacts import ArtifactState

__all__ = ["ArtifactFacts", "ArtifactRecord", "ArtifactRows"]

_A = ARTIFACTS.c


@dataclass(frozen=True, slots=True)
class ArtifactFacts:
    """What looking at the bytes told; `width` and `height` in pixels where they are a picture."""

    media_type: str
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class ArtifactRecord:
    digest: str
    state: ArtifactState
    bytes: int
    media_type: str | None
    width: int | None
    height: int | None
    problem_code: str | None
    problem_message: str | None
    created_at: datetime


class ArtifactRows:
    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def announce(self, account_id: str, digest: str, size: int) -> ArtifactRecord:
        """The artifact, wanted if it was not known; one that was refused is wanted again."""
        statement = insert(self._connection, ARTIFACTS).values(
            account_id=account_id,
            digest=digest,
            state=ArtifactState.WANTED,
            bytes=size,
            created_at=self._clock.now(),
        )
        self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[_A.account_id, _A.digest],
                set_={
                    "state": ArtifactState.WANTED,
                    "bytes": size,
                    "problem_code": None,
                    "problem_message": None,
                },
                where=_A.state != ArtifactState.READY,
            )
        )
        [found] = self.find_all(account_id, (digest,))
        return found

    def find(self, account_id: str, digest: str) -> ArtifactRecord | None:
        return next(iter(self.find_all(account_id, (digest,))), None)

    def find_all(self, account_id: str, digests: Collection[str]) -> tuple[ArtifactRecord, ...]:
        rows = self._connection.execute(
            select(
                _A.digest,
                _A.state,
                _A.bytes,
                _A.media_type,
                _A.width,
                _A.height,
                _A.problem_code,
                _A.problem_message,
                _A.created_at,
            ).where(_A.account_id == account_id, _A.digest.in_(digests))
        )
        return tuple(ArtifactRecord(**{**row._mapping, "state": ArtifactState(row.state)}) for row in rows)

    def accept(self, account_id: str, digest: str, facts: ArtifactFacts) -> None:
        self._connection.execute(
            update(ARTIFACTS)
            .where(_A.account_id == account_id, _A.digest == digest)
            .values(
                state=ArtifactState.READY,
                media_type=facts.media_type,
                width=facts.width,
                height=facts.height,
                ready_at=self._clock.now(),
            )
        )

    def refuse(self, account_id: str, digest: str, code: str, message: str) -> None:
        self._connection.execute(
            update(ARTIFACTS)
            .where(_A.account_id == account_id, _A.digest == digest, _A.state == ArtifactState.WANTED)
            .values(state=ArtifactState.REFUSED, problem_code=code, problem_message=message)
        )

    def add_made(self, account_id: str, digest: str, size: int, facts: ArtifactFacts) -> None:
        """Bytes that a job made and that were checked: ready at once, whatever was known before."""
        ready = {
            "state": ArtifactState.READY,
            "bytes": size,
            "media_type": facts.media_type,
            "width": facts.width,
            "height": facts.height,
            "ready_at": self._clock.now(),
        }
        statement = insert(self._connection, ARTIFACTS).values(
            account_id=account_id, digest=digest, created_at=self._clock.now(), **ready
        )
        self._connection.execute(
            statement.on_conflict_do_update(
                index_elements=[_A.account_id, _A.digest], set_=ready, where=_A.state != ArtifactState.READY
            )
        )
