"""Run folders that nobody will ask for again: their processes died before they were told to forget."""

import contextlib
import shutil
import time
from collections.abc import Collection
from pathlib import Path

from shared.engines.builtin.run_folder import RunFolder

__all__ = ["sweep"]

_UNCLAIMED_S = 6 * 3600  # a run may wait so long between its preparation and the first use of its ticket


def sweep(state_folder: Path, *, keep: Collection[str]) -> int:
    """Remove what is old, locked by no process and not among the run ids in `keep`; how many. Blocking."""
    oldest = time.time() - _UNCLAIMED_S
    removed = 0
    with contextlib.suppress(OSError):  # no run was ever made, or another process is sweeping too
        for path in list((state_folder / "runs").iterdir()):
            if path.name not in keep and path.stat().st_mtime < oldest and _is_free(RunFolder(path)):
                shutil.rmtree(path, ignore_errors=True)
                removed += 1
    return removed


def _is_free(folder: RunFolder) -> bool:
    lock = folder.lock()
    if not lock.acquire():
        return False
    lock.release()
    return True
