"""Results that are there already: the same content by the same recipe, delivered under another name."""

import asyncio

from desktop.store.database import Database
from desktop.store.job import DeliveredOutput, Job
from desktop.store.twins import delivered_twins

__all__ = ["made_before"]


async def made_before(database: Database, job: Job) -> tuple[DeliveredOutput, ...] | None:
    """The delivered outputs that this job would only make again, if all of them still lie there."""
    if job.order.ledger_key is None:
        return None
    for twin in await database.read(lambda c: delivered_twins(c, job)):
        same_format = twin.order.source.suffix.lower() == job.order.source.suffix.lower()
        if same_format and await asyncio.to_thread(_all_there, twin.outputs):
            return twin.outputs
    return None


def _all_there(outputs: tuple[DeliveredOutput, ...]) -> bool:
    placed = [item.path for item in outputs if item.path is not None]
    return bool(placed) and all(path.is_file() for path in placed)
