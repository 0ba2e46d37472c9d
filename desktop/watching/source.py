"""The source folder of a hot folder: watched while it is in its place, known again when it comes back."""

import contextlib
import tempfile
import threading
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from desktop.store.ledger import Stamp
from desktop.watching.changes import Change, ChangeKind, FolderWatcher, Report, WatchUnavailable
from desktop.watching.hot_folder import HotFolder
from desktop.watching.local_watcher import local_watcher
from desktop.watching.mounts import Mount, mount_of
from desktop.watching.names import PROBE_PREFIX
from desktop.watching.notices import Notice, NoticeKind, Notify
from desktop.watching.plan import is_familiar
from desktop.watching.scanner import FolderIdentity, Scan, SourceMissing, folder_identity, scan_folder
from shared.media import READABLE_SUFFIXES

__all__ = ["Presence", "Source", "WatcherMaker"]

_PROBE_S = 2.0


class WatcherMaker(Protocol):
    def __call__(self, root: Path, *, suffixes: frozenset[str], report: Report) -> FolderWatcher: ...


class Presence(StrEnum):
    IN_PLACE = "in_place"
    MISSING = "missing"
    REPLACED = "replaced"


class Source:
    """`identity` is that of the folder as it was set up. All methods block."""

    def __init__(
        self,
        *,
        folder: HotFolder,
        identity: FolderIdentity,
        report: Report,
        notify: Notify,
        mount: Mount | None = None,
        watcher_for: WatcherMaker = local_watcher,
    ) -> None:
        self._folder = folder
        self._watcher_for = watcher_for
        self._probed = threading.Event()
        self._report = report
        self._notify = notify
        self._watcher: FolderWatcher | None = None
        self._misses_folders = False
        self.identity = identity
        self.mount = mount or mount_of(folder.source)

    def presence(self) -> Presence:
        try:
            found = folder_identity(self._folder.source)
        except SourceMissing:
            return Presence.MISSING
        return Presence.IN_PLACE if found == self.identity else Presence.REPLACED

    def is_in_place(self) -> bool:
        return self.presence() is Presence.IN_PLACE

    def scan(self) -> Scan:
        """Raises SourceMissing."""
        return scan_folder(self._folder.source, suffixes=READABLE_SUFFIXES, excluded=self._folder.excluded)

    def adopt_if_familiar(self, known: Mapping[str, Stamp]) -> bool:
        """Take another folder in the source's place for the same if its files say so."""
        try:
            identity = folder_identity(self._folder.source)
            files = self.scan().files
        except SourceMissing:
            return False
        familiar = is_familiar(files, known)
        if familiar:
            self.identity = identity
        return familiar

    @property
    def is_watched(self) -> bool:
        """Whether the system reports what happens in the folder, on this machine and others."""
        return self._watcher is not None and self.mount is not Mount.NETWORK and not self._misses_folders

    def watch(self) -> None:
        self.unwatch()
        self._misses_folders = False
        watcher = self._watcher_for(self._folder.source, suffixes=READABLE_SUFFIXES, report=self._hear)
        try:
            watcher.start()
        except WatchUnavailable as error:
            self.note_unwatched(str(error))
        except OSError as error:
            self.note_unwatched(error.strerror or str(error))
        else:
            self._watcher = watcher
            if self.mount is Mount.NETWORK:
                message = (
                    f"{self._folder.source} is on a network disk, which reports no changes: looking regularly"
                )
                self._notify(Notice(NoticeKind.POLLING, message))
            elif self.mount is Mount.UNKNOWN and not self._probe():
                self.mount = Mount.NETWORK
                self.note_unwatched("it reports no changes")

    def note_unwatched(self, reason: str) -> None:
        """From now on only regular scans see everything."""
        if self._misses_folders:
            return
        self._misses_folders = True
        message = f"{self._folder.source} cannot be watched ({reason}): looking regularly instead"
        self._notify(Notice(NoticeKind.POLLING, message))

    def _hear(self, changes: Sequence[Change]) -> None:
        if any(change.kind is ChangeKind.PROBED for change in changes):
            self._probed.set()
        self._report(changes)

    def _probe(self) -> bool:
        """Whether a file written here is reported; not where none can be written.

        Its name is one that every watcher ignores, and it is gone at once.
        """
        self._probed.clear()
        try:
            for left in self._folder.source.glob(f"{PROBE_PREFIX}*"):
                left.unlink(missing_ok=True)
            with tempfile.NamedTemporaryFile(prefix=PROBE_PREFIX, dir=self._folder.source):
                return self._probed.wait(_PROBE_S)
        except OSError:
            return False

    def unwatch(self) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            with contextlib.suppress(OSError):
                watcher.close()
