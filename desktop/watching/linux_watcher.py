"""A folder tree watched by inotify: one event per finished file, new folders listed as they come."""

import contextlib
import os
import threading
from pathlib import Path

from desktop.watching.changes import Change, ChangeKind, Report, WatchUnavailable
from desktop.watching.inotify import Inotify, InotifyEvent, Mask, WatchesExhausted
from desktop.watching.names import PROBE_PREFIX, is_skipped_folder, why_skipped

__all__ = ["LinuxWatcher"]

_WANTED = (
    Mask.CLOSE_WRITE | Mask.MOVED_TO | Mask.CREATE | Mask.MOVED_FROM | Mask.DELETE | Mask.DELETE_SELF
    | Mask.MOVE_SELF | Mask.ONLYDIR | Mask.DONT_FOLLOW
)  # fmt: skip
_EXHAUSTED = "the system has no folder watches left; raise fs.inotify.max_user_watches"


class LinuxWatcher:
    def __init__(self, root: Path, *, suffixes: frozenset[str], report: Report) -> None:
        self._root = os.fspath(root)
        self._suffixes = suffixes
        self._report = report
        self._folders: dict[int, str] = {}  # watch → path relative to the root
        self._strays: set[int] = set()  # watches of folders that were moved, to where is not yet known
        self._root_watch = -1

    def start(self) -> None:
        try:
            self._inotify = Inotify()
        except WatchesExhausted as error:
            raise WatchUnavailable(_EXHAUSTED) from error
        try:
            self._root_watch = self._inotify.add(self._root, _WANTED)
            self._adopt("", None)
        except WatchesExhausted as error:
            self._inotify.close()
            raise WatchUnavailable(_EXHAUSTED) from error
        except OSError:
            self._inotify.close()
            raise
        self._thread = threading.Thread(target=self._run, name="folder-watcher", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._inotify.wake()
        self._thread.join()
        self._inotify.close()

    def _run(self) -> None:
        while (events := self._inotify.read()) is not None:
            changes: list[Change] = []
            try:
                for event in events:
                    self._translate(event, changes)
            except WatchesExhausted:
                changes += [Change(ChangeKind.UNWATCHED), Change(ChangeKind.RESCAN)]
            if changes:
                self._report(changes)

    def _translate(self, event: InotifyEvent, changes: list[Change]) -> None:
        if event.mask & Mask.Q_OVERFLOW:
            self._adopt("", None)
            changes.append(Change(ChangeKind.RESCAN))
            return
        folder = self._folders.get(event.watch)
        if event.mask & Mask.IGNORED:
            self._folders.pop(event.watch, None)
        elif event.watch == self._root_watch and event.mask & (
            Mask.DELETE_SELF | Mask.MOVE_SELF | Mask.UNMOUNT
        ):
            changes.append(Change(ChangeKind.LOST))
        elif event.mask & Mask.MOVE_SELF:
            self._drop_strays()
        elif folder is not None and event.name:
            path = f"{folder}/{event.name}" if folder else event.name
            if event.mask & Mask.ISDIR:
                self._folder_changed(path, event, changes)
            else:
                self._file_changed(path, event, changes)

    def _file_changed(self, path: str, event: InotifyEvent, changes: list[Change]) -> None:
        if event.name.startswith(PROBE_PREFIX):
            changes.append(Change(ChangeKind.PROBED))
            return
        if why_skipped(event.name, self._suffixes) is not None:
            return
        if event.mask & (Mask.CLOSE_WRITE | Mask.MOVED_TO):
            changes.append(Change(ChangeKind.CLOSED, path))
        elif event.mask & (Mask.DELETE | Mask.MOVED_FROM):
            changes.append(Change(ChangeKind.GONE, path))
        elif event.mask & Mask.CREATE:
            changes.append(Change(ChangeKind.OPENED, path))

    def _folder_changed(self, path: str, event: InotifyEvent, changes: list[Change]) -> None:
        if is_skipped_folder(event.name):
            return
        if event.mask & (Mask.CREATE | Mask.MOVED_TO):
            self._adopt(path, changes)
        elif event.mask & (Mask.MOVED_FROM | Mask.DELETE):
            if event.mask & Mask.MOVED_FROM:
                below = f"{path}/"
                self._strays |= {
                    watch
                    for watch, known in self._folders.items()
                    if known == path or known.startswith(below)
                }
            changes.append(Change(ChangeKind.RESCAN))

    def _adopt(self, top: str, changes: list[Change] | None) -> None:
        """Watch `top` and all below it; report the files that were there before the watch was."""
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            full = f"{self._root}/{folder}" if folder else self._root
            # A folder that is gone again, or not ours to read, has no news; the scan reports it.
            with contextlib.suppress(OSError):
                watch = self._inotify.add(full, _WANTED)
                self._folders[watch] = folder
                self._strays.discard(watch)
                waiting += self._list(full, folder, changes)

    def _list(self, full: str, folder: str, changes: list[Change] | None) -> list[str]:
        prefix = f"{folder}/" if folder else ""
        subfolders: list[str] = []
        with os.scandir(full) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if not is_skipped_folder(entry.name):
                        subfolders.append(prefix + entry.name)
                elif changes is not None and self._is_wanted_file(entry):
                    changes.append(Change(ChangeKind.FOUND, prefix + entry.name))
        return subfolders

    def _is_wanted_file(self, entry: "os.DirEntry[str]") -> bool:
        return why_skipped(entry.name, self._suffixes) is None and entry.is_file(follow_symlinks=False)

    def _drop_strays(self) -> None:
        """The move is complete and these turned up nowhere below the root."""
        for watch in self._strays:
            self._inotify.remove(watch)
            self._folders.pop(watch, None)
        self._strays.clear()
