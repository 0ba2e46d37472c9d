"""A folder tree watched by watchdog, where there is no inotify: macOS and Windows."""

import os
from collections.abc import Callable
from pathlib import Path, PurePath

from watchdog.events import FileSystemEvent, FileSystemEventHandler, FileSystemMovedEvent
from watchdog.observers import Observer

from desktop.watching.changes import Change, ChangeKind, Report, WatchUnavailable
from desktop.watching.names import PROBE_PREFIX, why_skipped

__all__ = ["PortableWatcher"]


class PortableWatcher:
    """Nothing is called closed except by a system that says so; on overflow it may stay silent."""

    def __init__(self, root: Path, *, suffixes: frozenset[str], report: Report) -> None:
        self._root = root
        self._handler = _Handler(root, suffixes, report)
        self._observer = Observer()

    def start(self) -> None:
        self._observer.schedule(self._handler, os.fspath(self._root), recursive=True)
        try:
            self._observer.start()
        except OSError as error:
            raise WatchUnavailable(f"the system refuses to watch the folder: {error.strerror}") from error

    def close(self) -> None:
        self._observer.stop()
        self._observer.join()


class _Handler(FileSystemEventHandler):
    def __init__(self, root: Path, suffixes: frozenset[str], report: Report) -> None:
        self._root = root
        self._suffixes = suffixes
        self._report = report
        self._translators: dict[str, Callable[[FileSystemEvent], list[Change]]] = {
            "created": lambda event: self._file(ChangeKind.OPENED, event.src_path),
            "modified": lambda event: self._file(ChangeKind.OPENED, event.src_path),
            "closed": lambda event: self._file(ChangeKind.CLOSED, event.src_path),
            "deleted": lambda event: self._file(ChangeKind.GONE, event.src_path),
            "moved": self._moved,
        }

    def on_any_event(self, event: FileSystemEvent) -> None:
        translate = self._translators.get(event.event_type)
        if event.is_directory:
            # Folders report "modified" whenever a file in them changes, which is told on its own.
            changes = [] if event.event_type == "modified" else self._folder(event)
        else:
            changes = [] if translate is None else translate(event)
        if changes:
            self._report(changes)

    def _folder(self, event: FileSystemEvent) -> list[Change]:
        is_root = event.event_type in {"deleted", "moved"} and self._relative(event.src_path) == ""
        return [Change(ChangeKind.LOST if is_root else ChangeKind.RESCAN)]

    def _moved(self, event: FileSystemEvent) -> list[Change]:
        arrived = event.dest_path if isinstance(event, FileSystemMovedEvent) else ""
        return self._file(ChangeKind.GONE, event.src_path) + self._file(ChangeKind.FOUND, arrived)

    def _file(self, kind: ChangeKind, path: str | bytes) -> list[Change]:
        relative = self._relative(path)
        if relative and PurePath(relative).name.startswith(PROBE_PREFIX):
            return [Change(ChangeKind.PROBED)]
        if not relative or why_skipped(PurePath(relative).name, self._suffixes) is not None:
            return []
        return [Change(kind, relative)]

    def _relative(self, path: str | bytes) -> str | None:
        """Below the root, with `/` between the parts; None for a path elsewhere."""
        try:
            relative = PurePath(os.fsdecode(path)).relative_to(self._root)
        except ValueError:
            return None
        return "" if relative == PurePath() else relative.as_posix()
