"""Whether a hot folder is away as a whole: unmounted, unplugged, moved, or with another in its place."""

import asyncio
from pathlib import Path

from desktop.store.database import Database
from desktop.store.job import Job
from desktop.store.ledger import INODE_MASK, find_folder
from shared.errors import TransientError

__all__ = ["SourceAway", "check_source_folder"]


class SourceAway(TransientError):
    """A job's file is missing with its whole folder: it waits, and nothing counts as deleted."""

    code = "source_away"


async def check_source_folder(database: Database, job: Job) -> None:
    """Raises SourceAway if the job's hot folder is not the folder that it was set up with."""
    known = await database.read(lambda c: find_folder(c, job.order.batch))
    if known is None:
        return
    root = Path(*job.order.source.parts[: -len(job.order.relative_path.parts)])
    if await asyncio.to_thread(_identity, root) != (known.device, known.inode):
        raise SourceAway(f"the folder {root} is away: the job waits until it is back", folder=str(root))


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev & INODE_MASK, status.st_ino & INODE_MASK
