"""The source folder of a hot folder: watched while it is in its place, known again when it comes back."""

import contextlib
from collections.abc import Mapping
from enum import StrEnum

from desktop.store.ledger import Stamp
from desktop.watching.changes import FolderWatcher, Report, WatchUnavailable
from desktop.watching.hot_folder import HotFolder
from desktop.watching.local_watcher import local_watcher
from desktop.watching.mounts import Mount, mount_of
from desktop.watching.notices import Notice, NoticeKind, Notify
from desktop.watching.plan import is_familiar
from desktop.watching.scanner import FolderIdentity, Scan, SourceMissing, folder_identity, scan_folder
from shared.media import READABLE_SUFFIXES

__all__ = ["Presence", "Source"]


class Presence(StrEnum):
    IN_PLACE = "in_place"
    MISSING = "missing"
    REPLACED = "replaced"


class Source:
    """`identity` is that of the folder as it was set up. All methods block."""

    def __init__(
        self, *, folder: HotFolder, identity: FolderIdentity, report: Report, notify: Notify
    ) -> None:
        self._folder = folder
        self._report = report
        self._notify = notify
        self._watcher: FolderWatcher | None = None
        self._misses_folders = False
        self.identity = identity
        self.mount = mount_of(folder.source)

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
        return self._watcher is not None and self.mount is Mount.LOCAL and not self._misses_folders

    def watch(self) -> None:
        self.unwatch()
        self._misses_folders = False
        watcher = local_watcher(self._folder.source, suffixes=READABLE_SUFFIXES, report=self._report)
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

    def note_unwatched(self, reason: str) -> None:
        """From now on only regular scans see everything."""
        self._misses_folders = True
        message = f"{self._folder.source} cannot be watched ({reason}): looking regularly instead"
        self._notify(Notice(NoticeKind.POLLING, message))

    def unwatch(self) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            with contextlib.suppress(OSError):
                watcher.close()
