"""What a watched folder tells its user beside the jobs' own events."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Notice", "NoticeKind", "Notify"]


class NoticeKind(StrEnum):
    WATCHING = "watching"
    POLLING = "polling"
    PAUSED = "paused"
    RESUMED = "resumed"
    SKIPPED = "skipped"
    WAITING = "waiting"
    UNREADABLE = "unreadable"
    LOOP = "loop"


@dataclass(frozen=True, slots=True)
class Notice:
    """`message` is a sentence; `path` is relative to the source."""

    kind: NoticeKind
    message: str
    path: str | None = None


Notify = Callable[[Notice], None]
