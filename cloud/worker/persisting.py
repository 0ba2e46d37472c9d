"""Writes that must not be lost because the database was away for a moment."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type
from tenacity.wait import wait_random_exponential

from cloud.errors import BeingDeleted, DatabaseBusy, DatabaseUnavailable

__all__ = ["persisted"]

_T = TypeVar("_T")


async def persisted(write: Callable[[], Awaitable[_T]]) -> _T:
    """Until the database took it; the fence of the lease bounds the wait."""
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type((DatabaseBusy, DatabaseUnavailable, BeingDeleted)),
        wait=wait_random_exponential(multiplier=0.05, max=1.0),
        reraise=True,
    ):
        with attempt:
            return await write()
    raise AssertionError("a retry either returns or raises")
