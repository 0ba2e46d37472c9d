"""Files that turned out not to decode, and the time that each of them has to change."""

import os
import time

from desktop.store.job import Job, JobError
from desktop.store.ledger import FileStamp
from desktop.watching.hot_folder import HotFolder
from desktop.watching.notices import Notice, NoticeKind, Notify
from desktop.watching.settle import Quiet, give_up_at

__all__ = ["Doubts"]


class Doubts:
    """A picture is decoded once, by its run; one that was broken there is decoded first from then on.

    `hurries`: what does not decode fails at once.
    """

    def __init__(self, *, folder: HotFolder, notify: Notify) -> None:
        self._folder = folder
        self._notify = notify
        self._paths: set[str] = set()
        self.hurries = False

    def has(self, path: str) -> bool:
        return path in self._paths

    def dispel(self, path: str) -> None:
        self._paths.discard(path)

    def term(self, job: Job, error: JobError) -> float:
        """How many seconds the file of a run that found it broken has to change."""
        path = os.fsdecode(job.order.relative_path)
        self._paths.add(path)
        now = time.monotonic()
        stamp = FileStamp(0, max(item.modified_ns for item in job.order.inputs), 0)
        seconds = self.seconds_left(Quiet(stamp, now))
        if self.hurries or seconds <= 0:
            return 0.0
        self.tell(path, error.message, seconds)
        return seconds

    def seconds_left(self, broken: Quiet) -> float:
        now = time.monotonic()
        return give_up_at(broken, now=now, wall_ns=time.time_ns(), patience=self._folder.patience) - now

    def tell(self, path: str, why: str, seconds: float) -> None:
        self._notify(Notice(NoticeKind.WAITING, f"{why}; it has {seconds:.0f} s to change", path))
