"""The statements of a submission as the driver was sent them, sent again by the driver alone."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
from sqlalchemy import event

from cloud.repositories.database import Database
from shared.ids import new_id

__all__ = ["RawSubmission", "open_raw_submission"]

_CONNECTIONS = 10
_WARM_UP = 3


@dataclass(frozen=True, slots=True)
class _Sent:
    statement: str
    parameters: tuple[Any, ...]

    def anew(self, names: dict[str, str]) -> list[Any]:
        """Its parameters with new ids in place of those that must be new."""
        return [_renamed(value, names) if isinstance(value, str) else value for value in self.parameters]


class RawSubmission:
    """The first statement finds the key, the others are one transaction."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", sent: Sequence[_Sent]) -> None:
        self._pool = pool
        self._find_key, *self._rest = sent
        stored = next(item for item in sent if item.statement.startswith("INSERT INTO idempotency_keys"))
        _, self._key, _, answer, *_ = stored.parameters
        self._job_id: str = json.loads(answer)["id"]

    async def submit(self) -> None:
        names = {self._job_id: new_id(), self._key: new_id()}
        async with self._pool.acquire() as connection:
            await connection.fetch(self._find_key.statement, *self._find_key.parameters)
        async with self._pool.acquire() as connection, connection.transaction():
            for sent in self._rest:
                await connection.fetch(sent.statement, *sent.anew(names))


@asynccontextmanager
async def open_raw_submission(
    url: str, database: Database, submit: Callable[[], Awaitable[object]]
) -> AsyncIterator[RawSubmission]:
    """Listens to what `submit` sends to this database, which from then on is slower than others."""
    sent: list[_Sent] = []

    def hear(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        sent.append(_Sent(statement, parameters))

    engine = await database.write(lambda unit: unit.connection.engine)
    event.listen(engine, "before_cursor_execute", hear)
    for _ in range(_WARM_UP):
        sent.clear()
        await submit()
    async with asyncpg.create_pool(
        url.replace("+asyncpg", ""), min_size=_CONNECTIONS, max_size=_CONNECTIONS
    ) as pool:
        yield RawSubmission(pool, tuple(sent))


def _renamed(value: str, names: dict[str, str]) -> str:
    for old, new in names.items():
        value = value.replace(old, new)
    return value
