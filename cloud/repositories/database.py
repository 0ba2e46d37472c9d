"""The database as services see it: functions that run in a transaction of their own."""

from collections.abc import Callable
from datetime import timedelta
from typing import Protocol, TypeVar

from cloud.repositories.unit import Unit

__all__ = ["Database"]

_T = TypeVar("_T")


class Database(Protocol):
    """`work` does nothing but SQL, since it may be run again after a deadlock.

    Both raise DatabaseUnavailable, DatabaseBusy, or what `work` raised.
    """

    clock_offset: timedelta  # added to the database's clock; tests move it

    async def write(self, work: Callable[[Unit], _T]) -> _T:
        """Returns once the effect is durable. What `work` raises undoes it."""
        ...

    async def read(self, work: Callable[[Unit], _T]) -> _T: ...

    @property
    def busy(self) -> int:
        """Connections in use, or writes that wait for their turn."""
        ...

    async def aclose(self) -> None: ...
