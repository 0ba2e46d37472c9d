"""What a watcher of the disk reports. Hints, all of them: the scan decides."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

__all__ = ["Change", "ChangeKind", "FolderWatcher", "Report", "WatchUnavailable"]


class ChangeKind(StrEnum):
    CLOSED = "closed"  # the system says that writing ended, or the file was moved in whole
    FOUND = "found"  # lies there; whether somebody still writes it is open
    OPENED = "opened"  # begun or written to; not finished as far as is known
    GONE = "gone"
    RESCAN = "rescan"  # more happened than was told: only a scan can say what
    PROBED = "probed"  # a file of our own was noticed: this folder reports changes
    LOST = "lost"  # the source folder itself went away
    UNWATCHED = "unwatched"  # no more watches to be had: poll


@dataclass(frozen=True, slots=True)
class Change:
    """`path` is relative to the source, `/` between the parts; empty where it says nothing of one file."""

    kind: ChangeKind
    path: str = ""


Report = Callable[[Sequence[Change]], None]  # called on a thread of the watcher's


class WatchUnavailable(Exception):
    """This folder cannot be watched by events; the reason is for the user."""


class FolderWatcher(Protocol):
    """Tells of changes below one folder from the end of `start` until `close`."""

    def start(self) -> None:
        """Returns once every folder there is now is watched. Raises WatchUnavailable, OSError."""
        ...

    def close(self) -> None: ...
