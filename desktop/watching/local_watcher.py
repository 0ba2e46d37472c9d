"""The watcher that this system has for folders on its disks."""

import sys
from pathlib import Path

from desktop.watching.changes import FolderWatcher, Report

if sys.platform == "linux":
    from desktop.watching.linux_watcher import LinuxWatcher as _SystemWatcher
else:
    from desktop.watching.portable_watcher import PortableWatcher as _SystemWatcher

__all__ = ["local_watcher"]


def local_watcher(root: Path, *, suffixes: frozenset[str], report: Report) -> FolderWatcher:
    return _SystemWatcher(root, suffixes=suffixes, report=report)
