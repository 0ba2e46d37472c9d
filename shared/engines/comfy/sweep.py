"""Outputs in a spool that nobody will fetch: their worker died before it was told to forget the run."""

import contextlib
import shutil
import time
from collections.abc import Collection
from pathlib import Path

__all__ = ["sweep"]

_UNCLAIMED_S = 6 * 3600  # a run may wait so long between its preparation and the first use of its ticket


def sweep(spool_folder: Path, *, keep: Collection[str]) -> int:
    """Remove what is old and not among the run ids in `keep`; how many. Blocking."""
    oldest = time.time() - _UNCLAIMED_S
    removed = 0
    with contextlib.suppress(OSError):  # nothing was ever kept, or another process is sweeping too
        for path in list(spool_folder.iterdir()):
            if path.name not in keep and path.stat().st_mtime < oldest:
                shutil.rmtree(path, ignore_errors=True)
                removed += 1
    return removed
