"""Chores by the clock of this process: a timer for each."""

import asyncio
import random
from collections.abc import Sequence

from cloud.tasks.chore import Chore, do_chore

__all__ = ["run_on_timers"]


async def run_on_timers(chores: Sequence[Chore]) -> None:
    """Until cancelled. Each chore runs at once, and then its interval after each end, or a little sooner, so
    that processes begun together drift apart."""
    async with asyncio.TaskGroup() as group:
        for chore in chores:
            group.create_task(_repeat(chore), name=f"chore-{chore.name}")


async def _repeat(chore: Chore) -> None:
    while True:
        await do_chore(chore)
        await asyncio.sleep(chore.every_s * random.uniform(0.8, 1.0))
