"""A submission as one would write it with an ORM session: rows looked up, changed, and flushed."""

import json
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud.services.key_text import key_digest
from cloud.tables.account import AccountRow, ApiKeyRow
from cloud.tables.artifact import ArtifactRow
from cloud.tables.credit import CreditBalanceRow
from cloud.tables.event import EventRow
from cloud.tables.job import IdempotencyKeyRow, JobRow, LaneRow
from shared.ids import new_id

__all__ = ["OrmSubmission"]

_CONNECTIONS = 10
_VALUES = {"filter": "orange", "exposure": 22, "contrast": 55, "clarity": 45, "glow": 10}


class OrmSubmission:
    """For an account that has submitted before, so that its balance is there."""

    def __init__(self, url: str, account_id: str, key: str, digest: str) -> None:
        self._engine = create_async_engine(url, pool_size=_CONNECTIONS, max_overflow=0)
        self._account_id = account_id
        self._key_digest = key_digest(key)
        self._digest = digest

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._engine.dispose()

    async def submit(self) -> None:
        async with AsyncSession(self._engine) as session:
            key, account = (
                await session.exec(
                    select(ApiKeyRow, AccountRow)
                    .where(ApiKeyRow.digest == self._key_digest)
                    .where(AccountRow.id == ApiKeyRow.account_id)
                )
            ).one()
            if key.revoked_at is not None:
                raise ValueError("the key of the measurement was revoked")
            artifact = await session.get_one(ArtifactRow, (account.id, self._digest))
            await self._add(session, account.id, artifact.digest)
            await session.commit()

    async def _add(self, session: AsyncSession, account_id: str, digest: str) -> None:
        job, now = _job(account_id, digest), datetime.now(UTC)
        answer = json.dumps({"id": job.id, "state": job.state, "price": 0, "expected_s": None})
        session.add(
            IdempotencyKeyRow(
                account_id=account_id,
                key=job.idempotency_key or "",
                request_digest=digest,
                answer=answer,
                created_at=now,
            )
        )
        session.add(job)
        await session.flush()
        body = json.dumps({"event": "queued", "job_id": job.id, "attempt": 0, "at": now.isoformat()})
        session.add(EventRow(account_id=account_id, job_id=job.id, kind="queued", body=body, at=now))
        await self._enter_lane(session, job, now)
        balance = await session.get_one(CreditBalanceRow, account_id, with_for_update=True)
        balance.jobs += 1
        balance.granted -= job.price
        balance.reserved += job.price

    async def _enter_lane(self, session: AsyncSession, job: JobRow, now: datetime) -> None:
        where = (job.pool, job.priority, job.account_id, job.preset_id, job.models)
        lane = await session.get(LaneRow, where, with_for_update=True)
        if lane is None:
            names = ("pool", "priority", "account_id", "preset_id", "models")
            lane = LaneRow(**dict(zip(names, where, strict=True)), waiting=0, oldest_at=now)
            session.add(lane)
        lane.waiting += 1


def _job(account_id: str, digest: str) -> JobRow:
    now = datetime.now(UTC)
    return JobRow(
        id=new_id(),
        account_id=account_id,
        pool="builtin",
        priority=10,
        preset_id="noir",
        preset_version="1.0.0",
        preset_digest=digest,
        models="{}",
        values=_VALUES,
        inputs={"photo": [{"digest": digest, "name": "a.png"}]},
        idempotency_key=new_id(),
        state="queued",
        created_at=now,
        queued_at=now,
        expires_at=now,
    )
