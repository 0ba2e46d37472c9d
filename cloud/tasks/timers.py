"""Chores on one box: a timer for each."""

import asyncio
from collections.abc import Sequence

from cloud.tasks.chore import Chore, do_chore

__all__ = ["run_on_timers"]


async def run_on_timers(chores: Sequence[Chore]) -> None:
    """Until cancelled. Each chore runs at once, and then its interval after each end."""
    async with asyncio.TaskGroup() as group:
        for chore in chores:
            group.create_task(_repeat(chore), name=f"chore-{chore.name}")


async def _repeat(chore: Chore) -> None:
    while True:
        await do_chore(chore)
        await asyncio.sleep(chore.every_s)
