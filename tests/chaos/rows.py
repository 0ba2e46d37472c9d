"""What the tests read from, and set in, the database of a process under attack, past its services."""

import asyncio
import re
import sqlite3
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import asyncpg

__all__ = ["PostgresRows", "Rows", "SqliteRows"]

_PLACE = re.compile(r"\?(\d*)")


class Rows(Protocol):
    def query(self, statement: str, *values: str) -> list[tuple[Any, ...]]:
        """The values stand for `?`, or `?1` and so on."""
        ...


class SqliteRows:
    def __init__(self, path: Path) -> None:
        self._path = path

    def query(self, statement: str, *values: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self._path, timeout=20) as connection:
            rows = connection.execute(statement, values).fetchall()
        connection.close()
        return rows


class PostgresRows:
    def __init__(self, url: str) -> None:
        self._url = url.replace("+asyncpg", "")

    def query(self, statement: str, *values: str) -> list[tuple[Any, ...]]:
        numbers = count(1)
        numbered = _PLACE.sub(lambda place: f"${place[1] or next(numbers)}", statement)
        return asyncio.run(self._queried(numbered, values))

    async def _queried(self, statement: str, values: tuple[str, ...]) -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(self._url, timeout=20)
        try:
            return [tuple(row) for row in await connection.fetch(statement, *values)]
        finally:
            await connection.close()
