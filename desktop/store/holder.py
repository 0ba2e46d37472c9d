"""Which process looks after which jobs, and whether it still lives."""

from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from shared.ids import new_id

__all__ = ["Holder"]


class Holder:
    """This process's mark in the journal: a locked file, which the system unlocks when it dies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = new_id()
        self._lock = FileLock(self._path(self.name))

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock.acquire(timeout=0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()
        self._path(self.name).unlink(missing_ok=True)

    def dead(self, names: Collection[str]) -> frozenset[str]:
        """Those of `names` whose process is gone."""
        return frozenset(name for name in names if name != self.name and self._is_dead(name))

    def _is_dead(self, name: str) -> bool:
        path = self._path(name)
        if not path.exists():
            return True
        try:
            with FileLock(path, timeout=0):
                path.unlink(missing_ok=True)
        except Timeout:
            return False
        return True

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"
