"""What PostgreSQL would do for the statements that a piece of work sends."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event

from cloud.repositories.database import Database
from cloud.repositories.unit import Unit

__all__ = ["many_jobs", "plans_of"]


class _Undo(Exception):
    """Nothing of what was tried stays."""


async def plans_of(database: Database, work: Callable[[Unit], object]) -> list[str]:
    """The plan of each statement, in their order."""
    plans: list[str] = []

    def explained(unit: Unit) -> None:
        with _heard(unit.connection) as sent:
            work(unit)
        for statement, parameters in sent:
            rows = unit.connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
            plans.append("\n".join(row[0] for row in rows))
        raise _Undo

    try:
        await database.write(explained)
    except _Undo:
        return plans
    raise AssertionError("the work was not undone")


@contextmanager
def _heard(connection: Connection) -> Iterator[list[tuple[str, Any]]]:
    sent: list[tuple[str, Any]] = []

    def hear(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        sent.append((statement, parameters[0] if isinstance(parameters, list) else parameters))

    event.listen(connection, "before_cursor_execute", hear)
    try:
        yield sent
    finally:
        event.remove(connection, "before_cursor_execute", hear)


_JOBS = """
    INSERT INTO jobs (id, account_id, pool, priority, preset_id, preset_version, preset_digest, models,
                      "values", inputs, state, attempt, crashes, alone, created_at, queued_at, price)
    SELECT md5(i::text), $1, 'comfy', 0, 'p' || (i % 20), '1', 'd', '{}',
           '{}', '{}', CASE WHEN i % 10 = 0 THEN 'queued' ELSE 'completed' END, 0, 0, false, now(), now(), 0
    FROM generate_series($2::int, $3::int) AS i
"""
_LANES = """
    INSERT INTO lanes (pool, priority, account_id, preset_id, models, waiting, oldest_at)
    SELECT pool, priority, account_id, preset_id, models, count(*), min(queued_at)
    FROM jobs WHERE state = 'queued' AND account_id = $1
    GROUP BY pool, priority, account_id, preset_id, models
"""


async def many_jobs(database: Database, account_id: str, first: int, last: int) -> None:
    """One in ten waits, in 20 lanes; the rest is done."""

    def fill(unit: Unit) -> None:
        unit.connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        unit.connection.exec_driver_sql(_JOBS, (account_id, first, last))
        unit.connection.exec_driver_sql("DELETE FROM lanes WHERE account_id = $1", (account_id,))
        unit.connection.exec_driver_sql(_LANES, (account_id,))
        unit.connection.exec_driver_sql("ANALYZE jobs")
        unit.connection.exec_driver_sql("ANALYZE lanes")

    await database.write(fill)
