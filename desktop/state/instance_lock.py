"""One window for each data folder."""

from pathlib import Path

from PySide6.QtCore import QLockFile

__all__ = ["take_lock"]


def take_lock(file: Path) -> QLockFile | None:
    """The lock of the first instance, or None if another holds it; stale ones are broken by Qt."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = QLockFile(str(file))
    lock.setStaleLockTime(0)
    return lock if lock.tryLock(0) else None
