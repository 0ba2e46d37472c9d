"""Work that a cancel, or an error beside it, ends at once."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import TypeVar

from shared.engines.base import Engine, Ticket

__all__ = ["cancelling", "dropped_on_error", "unless_cancelled"]

_T = TypeVar("_T")


@asynccontextmanager
async def dropped_on_error(task: asyncio.Task[_T]) -> AsyncIterator[None]:
    """An error inside ends the task too."""
    try:
        yield
    except BaseException:
        task.cancel()
        await asyncio.wait([task])
        raise


async def unless_cancelled(
    work: Coroutine[None, None, _T] | asyncio.Task[_T], cancel: asyncio.Event
) -> _T | None:
    """What `work` returns; None when the cancel came first, which drops it."""
    task = asyncio.ensure_future(work)
    asked = asyncio.create_task(cancel.wait())
    try:
        await asyncio.wait([task, asked], return_when=asyncio.FIRST_COMPLETED)
        return None if cancel.is_set() else await task
    finally:
        task.cancel()
        asked.cancel()
        await asyncio.wait([task, asked])


@asynccontextmanager
async def cancelling(engine: Engine, ticket: Ticket, cancel: asyncio.Event) -> AsyncIterator[None]:
    """While inside, a cancel asked for is passed on to the engine."""

    async def pass_on() -> None:
        await cancel.wait()
        await engine.cancel(ticket)

    task = asyncio.create_task(pass_on())
    try:
        yield
    finally:
        if not cancel.is_set():
            task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()
