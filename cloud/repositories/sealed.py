"""Every column that holds secrets, which are sealed there: the one place that knows them all."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from cloud.tables.base import METADATA
from cloud.tables.server import SERVERS
from cloud.tables.webhook import WEBHOOKS

__all__ = ["SEALED_COLUMNS", "SealedColumn", "SealedRows"]


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """Its table has an `id`."""

    table: str
    name: str


SEALED_COLUMNS = (
    SealedColumn(SERVERS.name, "credential"),
    SealedColumn(WEBHOOKS.name, "secret"),
    SealedColumn(WEBHOOKS.name, "old_secret"),
)


class SealedRows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def change(
        self, where: SealedColumn, change: Callable[[str], str], *, after: str, limit: int
    ) -> tuple[int, str | None]:
        """Some rows, in the order of their ids: how many, and the last one's id; None at the end.

        What somebody else has changed meanwhile stays as it is.
        """
        table = METADATA.tables[where.table]
        ids, column = table.c.id, table.c[where.name]
        rows = self._connection.execute(
            select(ids, column).where(column.is_not(None), ids > after).order_by(ids).limit(limit)
        ).all()
        for id_, sealed in rows:
            self._connection.execute(
                update(table).where(ids == id_, column == sealed).values({column: change(sealed)})
            )
        return len(rows), rows[-1][0] if len(rows) == limit else None
