"""Secrets at rest, sealed anew when the keys change."""

from functools import partial

from cloud.clients.secret_box import SecretBox
from cloud.repositories.database import Database
from cloud.repositories.sealed import SEALED_COLUMNS, SealedColumn
from cloud.repositories.unit import Unit
from cloud.services.callers import Operator
from shared.failpoints import failpoint

__all__ = ["Secrets"]

_AT_ONCE = 100


class Secrets:
    def __init__(self, *, database: Database, box: SecretBox) -> None:
        self._database = database
        self._box = box

    async def rotate(self, operator: Operator) -> int:
        """All of them under the newest key, so that the older ones can go; how many. Doing it again, also
        after it broke off, does no harm. Raises SecretUnreadable where no key opens one."""
        total = sum([await self._reseal(column) for column in SEALED_COLUMNS])
        await self._database.write(
            lambda unit: unit.audit.add(operator.name, "secrets.rotate", "", {"count": total})
        )
        return total

    async def _reseal(self, column: SealedColumn) -> int:
        total = 0
        last: str | None = ""
        while last is not None:
            count, last = await self._database.write(partial(self._some, column, last))
            failpoint("secrets.resealed")
            total += count
        return total

    def _some(self, column: SealedColumn, after: str, unit: Unit) -> tuple[int, str | None]:
        return unit.sealed.change(column, self._box.reseal, after=after, limit=_AT_ONCE)
