"""The watcher of the other systems, on whatever watchdog uses here."""

import threading
from collections.abc import Sequence
from pathlib import Path

from desktop.watching.changes import Change, ChangeKind
from desktop.watching.portable_watcher import PortableWatcher


def test_arrivals_renames_and_ends_are_reported(tmp_path: Path) -> None:
    heard: list[Change] = []
    more = threading.Condition()

    def report(changes: Sequence[Change]) -> None:
        with more:
            heard.extend(changes)
            more.notify_all()

    def until(change: Change) -> None:
        with more:
            assert more.wait_for(lambda: change in heard, 60), heard

    watcher = PortableWatcher(tmp_path, suffixes=frozenset({".png"}), report=report)
    watcher.start()
    try:
        (tmp_path / "notes.txt").write_bytes(b"x")
        (tmp_path / "a.png").write_bytes(b"x")
        until(Change(ChangeKind.OPENED, "a.png"))
        (tmp_path / "a.png").rename(tmp_path / "b.png")
        until(Change(ChangeKind.GONE, "a.png"))
        until(Change(ChangeKind.FOUND, "b.png"))
        (tmp_path / "b.png").unlink()
        until(Change(ChangeKind.GONE, "b.png"))
        (tmp_path / "folder").mkdir()
        until(Change(ChangeKind.RESCAN))
    finally:
        watcher.close()
    assert not any("notes" in change.path for change in heard)
